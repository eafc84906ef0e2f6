"""podman, buildah or docker on this machine: their command lines and Bindery's part of their storage."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bindery.adapters.oci_registry import Registry
from bindery.domain.errors import BuildServiceDown
from bindery_builder.process.environment import PROXIES, has_password, search_path, tool_environment
from bindery_builder.process.files import bytes_in, locked

# The build arguments that repo2docker and BinderHub set; no others are set.
ARGUMENTS = ("NB_USER=jovyan", "NB_UID=1000")
_TIDY_SECONDS = 300
_DOCKERS_OWN = Path("/var/lib/docker")
_ACCEPT, _REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]


@dataclass(frozen=True)
class Desk:
    """Folder for files that an attempt exchanges with the tool, separate from the repository's files."""

    folder: Path

    @property
    def login(self) -> Path:
        """Return the path of the login file. docker requires its name."""
        return self.folder / "login" / "config.json"

    @property
    def image(self) -> Path:
        return self.folder / "image"

    @property
    def digest(self) -> Path:
        return self.folder / "digest"

    def prepare(self) -> None:
        self.login.parent.mkdir(mode=0o700, parents=True)
        (self.folder / "tmp").mkdir()
        self.write_login("{}")

    def write_login(self, text: str) -> None:
        """Write the login file. It is never readable by other users."""
        self.login.unlink(missing_ok=True)
        descriptor = os.open(self.login, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


class ContainerTool:
    """podman, buildah or docker. podman and buildah get separate storages in `folder`, one for each namespace of layers.

    A repository's builds use the storage of its own namespace. podman and buildah identify a layer by the text of its instruction,
    which does not contain the value of a global ARG, so another repository's layer could be mistaken for one of this repository.
    docker's storage is its daemon's.

    name: `podman`, `buildah` or `docker`. namespace: letters and digits. Raises BuildServiceDown if the tool is not installed.
    """

    def __init__(self, name: str, folder: Path, namespace: str = "none") -> None:
        self.name, self._folder, self._namespace = name, folder, namespace
        self.storages = folder / "storage"
        self.storage = self.storages / namespace
        self._lock = folder / "tool.lock"

    def within(self, namespace: str) -> "ContainerTool":
        """Return this tool with the storage of a namespace."""
        return ContainerTool(self.name, self._folder, namespace)

    @cached_property
    def path(self) -> str:
        path = shutil.which(self.name, path=search_path(os.environ))
        if path is None:
            install = f"install {self.name}, or set BINDERY_CONTAINER_TOOL to one that is there"
            raise BuildServiceDown(why=f"{self.name} is not on PATH; {install}")
        return path

    @property
    def _is_docker(self) -> bool:
        return self.name == "docker"

    def prepare(self) -> None:
        """Create folders and policies. Raises OSError."""
        for folder in (self.storages, self._home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._policy.write_text(json.dumps(_pulls_only(_machine_policy())))
        self._push_policy.write_text(json.dumps({"default": _ACCEPT}))

    def environment(self, machine: Mapping[str, str], desk: Desk) -> dict[str, str]:
        return tool_environment(machine, desk.folder, self._home, desk.login.parent)

    @property
    def disk(self) -> Path:
        """Return a folder on the disk that holds the layers."""
        return _DOCKERS_OWN if self._is_docker and _DOCKERS_OWN.is_dir() else self._folder

    def build(
        self, context: Path, dockerfile: Path, labels: Mapping[str, str], desk: Desk, cache: Sequence[str] = ()
    ) -> list[str]:
        """Return the command that builds the image and writes its id into `desk.image`.

        The image gets no name at this point, so no build can use it in `FROM`. cache: options from `cached`.
        """
        words = ["build", "--force-rm", "--iidfile", str(desk.image), "--file", str(dockerfile)]
        if self._is_docker:
            # A separate namespace for each attempt, so that a `--mount=type=cache` holds no files of other builds.
            words += [f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={desk.folder.name}", *cache]
        else:
            # Docker's own format: the OCI format has no SHELL, and many Dockerfiles rely on it.
            if any(has_password(value) for name, value in os.environ.items() if name.lower() in PROXIES):
                words += [
                    "--http-proxy=false"
                ]  # the tool would pass the proxy's password to the repository's own steps
            words += [f"--layers={'true' if _text_determines_layers(dockerfile) else 'false'}", "--format", "docker"]
            words += ["--authfile", str(desk.login), "--signature-policy", str(self._policy)]
        words += [f"--build-arg={argument}" for argument in ARGUMENTS]
        words += [f"--label={name}={value}" for name, value in labels.items()]
        return [*self._begin(), *words, str(context)]

    @property
    def keeps_layers(self) -> bool:
        """Return True if a storage on this machine keeps layers between builds. Otherwise they come from the registry."""
        return not self._is_docker

    def pull(self, name: str) -> list[str]:
        """Return the command that pulls an image of Bindery's under its name.

        For docker only: its daemon reuses layers of images that it has.
        """
        return [self.path, "pull", "--quiet", name]

    def find(self, name: str) -> list[str]:
        """Return a command that exits with 0 if an image of this name is on this machine."""
        words = {"docker": ["image", "inspect"], "podman": ["image", "exists"], "buildah": ["inspect", "--type=image"]}
        return [*self._begin(), *words[self.name], name]

    def pull_base(self, name: str, desk: Desk) -> list[str]:
        """Return the command that pulls a base image under its name."""
        if self._is_docker:
            return [self.path, "pull", "--quiet", name]
        rules = ["--authfile", str(desk.login), "--signature-policy", str(self._policy)]
        return [*self._begin(), "pull", "--quiet", *rules, f"docker://{name}"]

    def cached(self, name: str, fetched: bool) -> list[str]:
        """Return options for `build`: take layers from the pulled image, and record the layers of this one for the next build."""
        return ["--build-arg=BUILDKIT_INLINE_CACHE=1", *([f"--cache-from={name}"] if fetched else [])]

    def push(self, image: str, registry: Registry, tag: str, desk: Desk) -> list[list[str]]:
        """Return the commands that push an image, in order. podman and buildah write the digest into `desk.digest`."""
        target = registry.tagged(tag)
        if self._is_docker:
            return [[self.path, "tag", image, target], [self.path, "push", target]]
        words = ["push", "--authfile", str(desk.login), "--signature-policy", str(self._push_policy)]
        words += ["--digestfile", str(desk.digest)]
        words += [] if registry.secure else ["--tls-verify=false"]
        return [[*self._begin(), *words, image, f"docker://{target}"]]

    def after_push(self, registry: Registry, tag: str) -> list[list[str]]:
        """Return the commands that remove the image name that docker needed. The cache stays."""
        return [[self.path, "rmi", "--no-prune", registry.tagged(tag)]] if self._is_docker else []

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold off `tidy` in every thread and process. Mark the storage as used now."""
        descriptor = locked(self._lock, fcntl.LOCK_SH, create=True)
        try:
            if not self._is_docker:
                self.storage.mkdir(mode=0o700, exist_ok=True)
                os.utime(self.storage)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def tidy(self, most_bytes: int) -> None:
        """Remove containers of ended builds, then the least recently used storages until at most `most_bytes` are left.

        Returns immediately while a build runs.
        """
        if self._is_docker or not self.storages.exists():
            return
        descriptor = locked(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, create=True)
        if descriptor is None:
            return
        try:
            used = {self.within(each.name): bytes_in(each) for each in self.by_last_use()}
            for tool in used:
                tool.remove_containers()
            total = sum(used.values())
            for tool, size in used.items():
                if total <= most_bytes:
                    break
                tool.empty()
                total -= size
        finally:
            os.close(descriptor)

    def by_last_use(self) -> list[Path]:
        """Return the storages, the least recently used first."""
        return sorted(
            (each for each in self.storages.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime
        )

    def remove_containers(self) -> None:
        """Remove the containers that ended builds left in this storage."""
        listing = ["ps", "--all", "--external", "--quiet"] if self.name == "podman" else ["containers", "--quiet"]
        if containers := self._ask(listing).split():
            self._ask(["rm", *(["--force"] if self.name == "podman" else []), *containers])

    def empty(self) -> None:
        """Remove all layers with the tool, then the folder, as far as its files belong to this user."""
        self._ask(["rmi", "--all", "--force"])
        shutil.rmtree(self.storage, ignore_errors=True)
        shutil.rmtree(self.run_root, ignore_errors=True)

    def _ask(self, words: Sequence[str]) -> str:
        """Run the tool and return its output. Best effort: the next cleanup removes the rest."""
        environment = tool_environment(os.environ, self._folder, self._home, self._home)
        try:
            return subprocess.run(  # noqa: S603 - fixed words, and ids that the tool printed
                [*self._begin(), *words],
                env={**environment, "TMPDIR": str(self._home)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIDY_SECONDS,
                check=False,
            ).stdout
        except (OSError, subprocess.SubprocessError, BuildServiceDown):
            return ""

    def _begin(self) -> list[str]:
        if self._is_docker:
            return [self.path]
        return [self.path, "--root", str(self.storage), "--runroot", str(self.run_root)]

    @property
    def run_root(self) -> Path:
        """Return the folder for mounts of this storage."""
        return self.run_roots / self._namespace

    @cached_property
    def run_roots(self) -> Path:
        """Return the folder for mounts.

        A restart of the machine empties it, and its path is short, as podman requires.
        """
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        beside = Path(runtime) if runtime else Path("/run" if os.geteuid() == 0 else f"/tmp/bindery-{os.geteuid()}")  # noqa: S108 - its owner is checked
        folder = beside / f"bindery-{hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:12]}"
        try:
            for each in (beside, folder):
                each.mkdir(mode=0o700, exist_ok=True)
            if stat.S_ISLNK(folder.lstat().st_mode) or beside.stat().st_uid != os.geteuid():
                raise BuildServiceDown(why=f"{beside} belongs to somebody else")
        except OSError as error:
            raise BuildServiceDown(why=f"{folder} cannot be made: {error.strerror}") from error
        return folder

    @property
    def _home(self) -> Path:
        return self._folder / "home"

    @property
    def _policy(self) -> Path:
        return self._folder / "pulls.json"

    @property
    def _push_policy(self) -> Path:
        return self._folder / "pushes.json"


def _text_determines_layers(dockerfile: Path) -> bool:
    """Return True if the text of the Dockerfile's instructions determines their layers. podman and buildah identify layers by it.

    It does not for a RUN that mounts files or reads them inline: such a layer may be made from another repository's files.
    """
    text = dockerfile.read_bytes()
    return b"--mount" not in text and b"<<" not in text


def _pulls_only(machine: Mapping[str, object]) -> dict[str, object]:
    """Return a policy for images in `FROM`: only from registries, under the machine's own rules for registries.

    Images from files, storages or daemons of this machine are rejected.
    """
    transports = machine.get("transports")
    docker = transports.get("docker") if isinstance(transports, dict) else None
    rules = {"": machine.get("default", _ACCEPT), **(docker if isinstance(docker, dict) else {})}
    return {"default": _REJECT, "transports": {"docker": rules}}


def _machine_policy() -> Mapping[str, object]:
    for path in (Path.home() / ".config/containers/policy.json", Path("/etc/containers/policy.json")):
        try:
            policy = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(policy, dict):
            return policy
    return {}
