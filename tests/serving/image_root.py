"""An image's files and settings as its Dockerfile has them, without the steps that need a network, and sessions in such an image.

A session is a real process in a root folder of its own: this machine's programs in `/usr`, the image's files everywhere else.
"""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bindery_builder.images.context import Context

USER = 1000
ARGUMENTS = {"NB_USER": "jovyan", "NB_UID": str(USER)}
OUT = "out"
"""The folder of a session's root for a test's own records."""
SERVER = f"#!/bin/sh\nenv -0 >/{OUT}/environment\npython3 -c pass; bash -lc true; git --version\n"
_SERVER_PATH = "srv/conda/envs/notebook/bin/jupyter-lab"
_ENTER = """
set -e
cd "$1"
mount --bind /usr usr
mount --bind "$2" usr/local
mount --bind /dev/null dev/null
mount --bind /dev/urandom dev/urandom
mount -t proc proc proc
folder=$3 user=$4; shift 4
exec chroot --userspec="$user:$user" . /usr/bin/env -i -C "$folder" "$@"
"""


def python() -> str:
    """Return the name of the folder in which a session's Python looks for packages, such as `python3.11`."""
    code = "import sys; print('python{}.{}'.format(*sys.version_info))"
    return subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def need_root() -> None:
    """Skip a test where sessions cannot have a root folder of their own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can give a session a root folder of its own")


@dataclass
class Image:
    """An image. root: its files; `usr/local` lies in it, the rest of `/usr` is this machine's. environment: its ENV."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    entry_point: tuple[str, ...] = ()
    folder: str = "/"

    @classmethod
    def assembled(cls, context: Context, root: Path, left_by_steps: Mapping[str, str]) -> "Image":
        """Follow the Dockerfile's instructions. Of its RUN steps only `chmod` runs, and `left_by_steps` stands for the others.

        left_by_steps: path below HOME -> content; one that begins with `-> ` is a link's target.
        """
        image = cls(root, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
        for path in (
            "usr/local/bin",
            "dev",
            "proc",
            "etc",
            "tmp",
            "var",
            OUT,
            "home/jovyan",
            Path(_SERVER_PATH).parent,
        ):
            (root / path).mkdir(parents=True)
        for link in ("bin", "lib", "lib64", "sbin"):
            (root / link).symlink_to(f"usr/{link}")
        (root / "etc/passwd").write_text(f"jovyan:x:{USER}:{USER}::/home/jovyan:/bin/bash\n")
        server = root / _SERVER_PATH
        server.write_text(SERVER)
        server.chmod(0o755)
        for line in context.dockerfile.read_text().replace("\\\n", " ").splitlines():
            word, _, rest = line.strip().partition(" ")
            image._follow(word, rest.strip(), context.folder)
        home = root / "home/jovyan"
        for name, content in left_by_steps.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("-> "):
                path.symlink_to(content.removeprefix("-> "))
            else:
                path.write_text(content)
        for inner in (home, root / "var", root / OUT):
            subprocess.run(["chown", "-hR", f"{USER}:{USER}", inner], check=True)
        (root / "tmp").chmod(0o1777)
        return image

    def _follow(self, word: str, rest: str, context: Path) -> None:
        if word == "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                self.environment[name] = self._expanded(value)
        elif word == "ARG" and "=" in rest:
            name, _, value = rest.partition("=")
            self.environment.setdefault(name, self._expanded(value))
        elif word == "WORKDIR":
            self.folder = self._expanded(rest)
        elif word == "ENTRYPOINT":
            self.entry_point = tuple(rest.strip("[]").replace('"', "").split(", "))
        elif word == "COPY":
            self._copy(shlex.split(rest), context)
        elif word == "RUN" and rest.startswith("chmod +x "):
            path = self.root / os.path.join(self.folder, self._expanded(shlex.split(rest)[2])).lstrip("/")  # noqa: PTH118
            path.chmod(path.stat().st_mode | 0o111)

    def _copy(self, words: Sequence[str], context: Path) -> None:
        options = [word for word in words if word.startswith("--")]
        *sources, place = (word for word in words if word not in options)
        for source in (context / name.lstrip("/") for name in sources):
            target = self.root / self._expanded(place).lstrip("/")
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                target = target / source.name if place.endswith("/") else target
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target, follow_symlinks=False)
                if mode := [option.partition("=")[2] for option in options if option.startswith("--chmod=")]:
                    target.chmod(int(mode[0], 8))

    def _expanded(self, text: str) -> str:
        variables = {**ARGUMENTS, **self.environment}
        return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda match: variables.get(match[1] or match[2], ""), text)

    def run(self, container: Mapping[str, object], variables: Mapping[str, str]) -> "Ended":
        """Run a Pod's container as a node would, in this image's own root. The root belongs to that session from then on."""
        words = [*_words(container, "command", self.entry_point), *_words(container, "args", ())]
        environment = [f"{name}={value}" for name, value in {**self.environment, **variables}.items()]
        for device in ("null", "urandom", "termination-log"):
            (self.root / "dev" / device).touch(mode=0o666)
        (self.root / "dev/termination-log").chmod(0o666)
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "enter"]
        local = self.root.with_name(f"{self.root.name}-local")
        (self.root / "usr/local").rename(local)  # this machine's /usr hides it otherwise
        place = [str(self.root), str(local), self.folder, str(USER)]
        done = subprocess.run([*enter, *place, *environment, *words], capture_output=True, text=True, timeout=120)
        return Ended(done.returncode, done.stdout + done.stderr, self.root)


@dataclass(frozen=True)
class Ended:
    """A session that is over. log: its output."""

    code: int
    log: str
    root: Path

    @property
    def reason(self) -> str:
        """Return the reason that it left for the launch."""
        return (self.root / "dev/termination-log").read_text()

    @property
    def environment(self) -> dict[str, str]:
        text = (self.root / OUT / "environment").read_text()
        return dict(pair.split("=", 1) for pair in text.split("\0") if pair)

    @property
    def records(self) -> str:
        """Return the text that files of commits wrote when they ran."""
        path = self.root / OUT / "ran"
        return path.read_text() if path.exists() else ""

    @property
    def files(self) -> dict[str, object]:
        """Return every file, folder and link: mode, and content or target.

        git's own folders are left out: `git` answers for them.
        """
        entries: dict[str, object] = {}
        for inner, folders, names in os.walk(self.root):
            for name in [*folders, *names]:
                path = Path(inner, name)
                mode = path.lstat().st_mode
                content: object = None
                if stat.S_ISLNK(mode):
                    content = os.readlink(path)  # noqa: PTH115 - a target that leads nowhere is one, too
                elif stat.S_ISREG(mode):
                    content = path.read_bytes()[16 if name.endswith(".pyc") else 0 :]  # a header with the source's time
                if name != ".git":
                    entries[path.relative_to(self.root).as_posix()] = (stat.filemode(mode), content)
            folders[:] = [name for name in folders if name not in (".git", OUT, "dev")]
        return entries

    def git(self, *words: str) -> str:
        command = ["git", "-c", "safe.directory=*", "-C", str(self.root / "home/jovyan"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _words(container: Mapping[str, object], name: str, otherwise: Sequence[str]) -> list[str]:
    """Return the words of a command as Kubernetes reads them: `$$` is `$`."""
    words = container.get(name)
    return [str(word).replace("$$", "$") for word in words] if isinstance(words, list) else list(otherwise)
