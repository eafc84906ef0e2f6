"""Container build, step by step: content, Dockerfile, image, push to the registry."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bindery.adapters.oci_registry import DIGEST, Registry
from bindery.domain.errors import BuildFailed, BuildServiceDown, PushFailed
from bindery.ports.contents import Contents
from bindery_builder.failure_reason import image_build_error, push_failure_reason
from bindery_builder.fetch import fetch_inputs
from bindery_builder.images.base_images import BaseImages
from bindery_builder.images.context import Context, add_commit, prepared
from bindery_builder.images.layer_cache import LayerCache
from bindery_builder.images.pull_logins import PullLogin
from bindery_builder.images.tool import ContainerTool, Desk
from bindery_builder.process.remove_tree import remove_tree
from bindery_builder.process.runner import RoomOver, Runner
from bindery_builder.task import Manifest, Task

_TAG_CHARACTERS = 128


@dataclass
class ContainerAttempt:
    """Attempt that builds an image and pushes it. The attempt's folder is removed afterwards.

    step: the current step, as in Work. logins: for pulls of base images. cache: the tag for the layers that the next build reuses,
    if the tool itself keeps no layers; empty: no layers are kept.
    """

    task: Task
    contents: Contents
    tool: ContainerTool
    registry: Registry
    runner: Runner
    base_image: str = ""
    cache: str = ""
    logins: Sequence[PullLogin] = ()
    step: str = field(default="build", init=False)

    def make(self) -> Manifest:
        try:
            return self._make()
        except RoomOver:
            most = self.runner.room.most_bytes / 1e9
            raise BuildFailed(step=self.step, why=f"the disk holds {most:g} GB more than when it began") from None

    def context(self) -> Context:
        """Fetch the commit and return the build context. Raises the errors of `make`."""
        self._desk.prepare()
        fetch_inputs(self.contents, self.task.order, self._commit, self._content, self.runner)
        context = prepared(self._content, self.task.folder / "context", self.runner, self.base_image)
        if self._commit.exists():
            add_commit(self._commit, self.task.order.repository.ref, context.folder, context.dockerfile, self._check)
        return context

    def _make(self) -> Manifest:
        context = self.context()
        self.step = context.step
        with self.tool.in_use():
            image = self._build(context)
            remove_tree(context.folder)  # a push may take long and does not need the context
            self.step = "push"
            digest = self._push(image)
        remove_tree(self.task.folder)
        return Manifest(ref=self.task.order.repository.ref, image=self.registry.by_digest(digest))

    def _build(self, context: Context) -> str:
        self.runner.log.say(f"Building the image from {context.step}", "building")
        BaseImages(self.tool, self.runner, self._desk, self.logins).fetch(context.dockerfile, self.task.folder)
        words = self._layers.fetch(self.task.folder) if self.cache else []
        command = self.tool.build(context.folder, context.dockerfile, self._labels, self._desk, words)
        code, last = self.runner.run(command, self.task.folder)
        if code:
            raise image_build_error(code, last)
        return self._desk.image.read_text().strip()

    def _push(self, image: str) -> str:
        """Push the image. Return its digest in the registry.

        Credentials are on disk only now, after the build's steps have ended.
        """
        self.runner.log.say(f"Pushing the image to {self.registry.host}", "pushing")
        self._desk.write_login(self.registry.login)
        try:
            self._run_all(self.tool.push(image, self.registry, self._tag, self._desk))
            if self.cache:
                self._layers.keep(image, self.task.folder)
        finally:
            self._desk.write_login("{}")
            for command in self.tool.after_push(self.registry, self._tag):
                self.runner.run(command, self.task.folder, quiet=True)
        return self._pushed()

    def _run_all(self, commands: list[list[str]]) -> None:
        for command in commands:
            code, last = self.runner.run(command, self.task.folder)
            if code:
                raise PushFailed(registry=self.registry.host, why=push_failure_reason(last))

    def _pushed(self) -> str:
        try:
            digest = self._desk.digest.read_text().strip()
        except FileNotFoundError:  # docker prints no machine-readable digest
            try:
                digest = self.registry.digest_of(self._tag) or ""
            except BuildServiceDown as error:
                raise PushFailed(registry=self.registry.host, why=str(error.facts["why"])) from None
        if not DIGEST.fullmatch(digest):
            raise PushFailed(registry=self.registry.host, why="it does not tell the image's digest")
        return digest

    def _check(self) -> None:
        self.runner.check()
        self.runner.room.check()

    @property
    def _layers(self) -> LayerCache:
        return LayerCache(self.tool, self.registry, self.runner, self._desk, self.cache)

    @property
    def _labels(self) -> dict[str, str]:
        order = self.task.order
        source = order.repository
        return {
            "org.opencontainers.image.source": source.repo_url,
            "org.opencontainers.image.revision": source.ref,
            "bindery.environment": order.environment,
            "bindery.attempt": str(order.attempt),
        }

    @property
    def _tag(self) -> str:
        """Return the tag, `<environment key>-<attempt>`."""
        tag = self.task.folder.name
        return tag if len(tag) <= _TAG_CHARACTERS else hashlib.sha256(tag.encode()).hexdigest()

    @property
    def _commit(self) -> Path:
        return self.task.folder / "commit"

    @property
    def _content(self) -> Path:
        return self.task.folder / "content"

    @property
    def _desk(self) -> Desk:
        return Desk(self.task.folder)
