"""podman, buildah or docker on this machine: their command lines, and what of their storage is ours."""

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

# As repo2docker and BinderHub tell every build; nothing else is told.
ARGUMENTS = ("NB_USER=jovyan", "NB_UID=1000")
_TIDY_SECONDS = 300
_DOCKERS_OWN = Path("/var/lib/docker")
_ACCEPT, _REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]


@dataclass(frozen=True)
class Desk:
    """Where an attempt exchanges files with the tool, beside the repository's files and never among them."""

    folder: Path

    @property
    def login(self) -> Path:
        """Named as docker wants it."""
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
        """Readable by nobody else at any moment."""
        self.login.unlink(missing_ok=True)
        descriptor = os.open(self.login, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


class ContainerTool:
    """podman, buildah or docker. podman and buildah get storages of their own in `folder`, one for each namespace of layers.

    A repository's builds use the storage of its own namespace: podman and buildah recognise a layer by its instruction's words, and
    these do not tell the value of a global ARG, so that another repository's layer could be taken for one of this repository.
    docker's storage is its daemon's.

    name: `podman`, `buildah` or `docker`. namespace: letters and digits. Raises BuildServiceDown where the tool is not installed.
    """

    def __init__(self, name: str, folder: Path, namespace: str = "none") -> None:
        self.name, self._folder, self._namespace = name, folder, namespace
        self.storages = folder / "storage"
        self.storage = self.storages / namespace
        self._lock = folder / "tool.lock"

    def within(self, namespace: str) -> "ContainerTool":
        """Return the same tool with the storage of a namespace."""
        return ContainerTool(self.name, self._folder, namespace)

    @cached_property
    def path(self) -> str:
        found = shutil.which(self.name, path=search_path(os.environ))
        if found is None:
            install = f"install {self.name}, or set BINDERY_CONTAINER_TOOL to one that is there"
            raise BuildServiceDown(why=f"{self.name} is not on PATH; {install}")
        return found

    @property
    def _is_docker(self) -> bool:
        return self.name == "docker"

    def prepare(self) -> None:
        """Folders and policies. Raises OSError."""
        for folder in (self.storages, self._home):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._policy.write_text(json.dumps(_pulls_only(_machine_policy())))
        self._push_policy.write_text(json.dumps({"default": _ACCEPT}))

    def environment(self, machine: Mapping[str, str], desk: Desk) -> dict[str, str]:
        return tool_environment(machine, desk.folder, self._home, desk.login.parent)

    @property
    def disk(self) -> Path:
        """A folder on the disk that its layers are on."""
        return _DOCKERS_OWN if self._is_docker and _DOCKERS_OWN.is_dir() else self._folder

    def build(
        self, context: Path, dockerfile: Path, labels: Mapping[str, str], desk: Desk, cache: Sequence[str] = ()
    ) -> list[str]:
        """Puts the image's id into `desk.image`. The image gets no name here: nothing can be built `FROM` it by one.

        cache: words that `cached` gave.
        """
        words = ["build", "--force-rm", "--iidfile", str(desk.image), "--file", str(dockerfile)]
        if self._is_docker:
            # Of its own for each attempt: what others left in a `--mount=type=cache` is no part of this repository.
            words += [f"--build-arg=BUILDKIT_CACHE_MOUNT_NS={desk.folder.name}", *cache]
        else:
            # Docker's own format: the other one has no SHELL, and many a Dockerfile relies on that.
            if any(has_password(value) for name, value in os.environ.items() if name.lower() in PROXIES):
                words += ["--http-proxy=false"]  # it would hand the proxy's password to the repository's own steps
            words += [f"--layers={'true' if _says_all(dockerfile) else 'false'}", "--format", "docker"]
            words += ["--authfile", str(desk.login), "--signature-policy", str(self._policy)]
        words += [f"--build-arg={argument}" for argument in ARGUMENTS]
        words += [f"--label={name}={value}" for name, value in labels.items()]
        return [*self._begin(), *words, str(context)]

    @property
    def keeps_layers(self) -> bool:
        """Whether layers of builds before are in a storage of its own here. If not, they come with an image from the registry."""
        return not self._is_docker

    def pull(self, name: str) -> list[str]:
        """An image of ours, under its name. For docker only: its daemon takes layers from images that it has."""
        return [self.path, "pull", "--quiet", name]

    def find(self, name: str) -> list[str]:
        """Ends with 0 if an image of this name is here."""
        words = {"docker": ["image", "inspect"], "podman": ["image", "exists"], "buildah": ["inspect", "--type=image"]}
        return [*self._begin(), *words[self.name], name]

    def pull_base(self, name: str, desk: Desk) -> list[str]:
        """An image that a build begins from, under its name."""
        if self._is_docker:
            return [self.path, "pull", "--quiet", name]
        rules = ["--authfile", str(desk.login), "--signature-policy", str(self._policy)]
        return [*self._begin(), "pull", "--quiet", *rules, f"docker://{name}"]

    def cached(self, name: str, fetched: bool) -> list[str]:
        """Words for `build`: take layers from the image that was pulled, and tell the next one what this one's are made of."""
        return ["--build-arg=BUILDKIT_INLINE_CACHE=1", *([f"--cache-from={name}"] if fetched else [])]

    def push(self, image: str, registry: Registry, tag: str, desk: Desk) -> list[list[str]]:
        """Commands, one after the other; podman and buildah put what was pushed into `desk.digest`."""
        target = registry.tagged(tag)
        if self._is_docker:
            return [[self.path, "tag", image, target], [self.path, "push", target]]
        words = ["push", "--authfile", str(desk.login), "--signature-policy", str(self._push_policy)]
        words += ["--digestfile", str(desk.digest)]
        words += [] if registry.secure else ["--tls-verify=false"]
        return [[*self._begin(), *words, image, f"docker://{target}"]]

    def after_push(self, registry: Registry, tag: str) -> list[list[str]]:
        """Takes the name away that docker needed, and nothing of the cache."""
        return [[self.path, "rmi", "--no-prune", registry.tagged(tag)]] if self._is_docker else []

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold off `tidy`, of every thread and process; the storage counts as used now."""
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
        """Remove what ended builds left. Then remove whole storages, the least recently used first, until `most_bytes` are left.

        Does nothing while a build runs.
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
        if left := self._ask(listing).split():
            self._ask(["rm", *(["--force"] if self.name == "podman" else []), *left])

    def empty(self) -> None:
        """Remove all layers with the tool, then the folder, as far as its files belong to this user."""
        self._ask(["rmi", "--all", "--force"])
        shutil.rmtree(self.storage, ignore_errors=True)
        shutil.rmtree(self.run_root, ignore_errors=True)

    def _ask(self, words: Sequence[str]) -> str:
        """Best effort: what is left now is removed the next time."""
        environment = tool_environment(os.environ, self._folder, self._home, self._home)
        try:
            return subprocess.run(  # noqa: S603 - fixed words, and ids that the tool told
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
        """Return the folder for mounts: on a file system that a restart of the machine empties, and short, as podman wants it."""
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


def _says_all(dockerfile: Path) -> bool:
    """Whether its instructions' words, by which podman and buildah know a layer again, are all that RUN works with.

    They are not where it mounts files or reads them inline: the layer may be what another repository's files made of it.
    """
    text = dockerfile.read_bytes()
    return b"--mount" not in text and b"<<" not in text


def _pulls_only(machine: Mapping[str, object]) -> dict[str, object]:
    """Images for `FROM` come from registries, under the machine's own rules for these; never from files, storages or daemons here."""
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
