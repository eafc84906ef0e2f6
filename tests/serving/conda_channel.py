"""Conda channels on loopback, made by the tests: real packages and a real index, served over HTTP.

The package `python` leads to the Python that runs the tests, as a virtual environment does. So a channel takes a few kilobytes, and
its environments run on any machine.
"""

import bz2
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"lib/python{MINOR}/site-packages"
NO_CHANNELS = "http://127.0.0.1:9"
"""Address without a server: a test that needs channels makes its own, and no test reaches the public ones."""
NOARCH, LINUX = "noarch", "linux-64"


@dataclass
class Channel:
    """Channel in a folder. Call `index` after the last package."""

    folder: Path
    _packages: dict[str, dict[str, dict[str, object]]] = field(default_factory=lambda: {NOARCH: {}, LINUX: {}})

    def python(self, version: str = f"{MINOR}.0") -> None:
        """Add a package `python` of this version, which leads to the tests' own Python."""
        own = Path(sys.base_prefix) / "bin" / f"python{MINOR}"
        links = {"bin/python": f"python{MINOR}", "bin/python3": f"python{MINOR}", f"bin/python{MINOR}": str(own)}
        files = {"pyvenv.cfg": f"home = {own.parent}\ninclude-system-site-packages = false\n", f"{SITE}/README": ""}
        self.add("python", version, files, links=links, subdir=LINUX)

    def module(self, name: str, version: str, depends: tuple[str, ...] = ("python",)) -> None:
        """Add a package for any platform with one Python module, which knows its version."""
        self.add(name, version, {f"site-packages/{name}.py": f'version = "{version}"\n'}, depends, kind="python")

    def add(
        self,
        name: str,
        version: str,
        files: Mapping[str, str],
        depends: tuple[str, ...] = (),
        *,
        links: Mapping[str, str] | None = None,
        subdir: str = NOARCH,
        kind: str = "generic",
    ) -> None:
        """Add a package with these files and symbolic links. kind: of a package for any platform, `generic` or `python`."""
        index: dict[str, object] = {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": list(depends),
            "subdir": subdir,
            "timestamp": 1_700_000_000_000,
            **({"noarch": kind} if subdir == NOARCH else {}),
        }
        paths = [_path(path, "hardlink", text.encode()) for path, text in files.items()]
        paths += [_path(path, "softlink", b"") for path in links or {}]
        facts = {"info/index.json": index, "info/paths.json": {"paths": paths, "paths_version": 1}}
        if kind == "python" and subdir == NOARCH:
            facts["info/link.json"] = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        texts = {**{path: json.dumps(fact) for path, fact in facts.items()}, **files}
        archive = bz2.compress(_tar(texts, links or {}))
        file = self.folder / subdir / f"{name}-{version}-0.tar.bz2"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(archive)
        digest = hashlib.sha256(archive).hexdigest()
        self._packages[subdir][file.name] = {**index, "sha256": digest, "size": len(archive)}

    def index(self, *, hashes: bool = True) -> None:
        """Write the channel's index."""
        for subdir, packages in self._packages.items():
            for facts in packages.values() if not hashes else ():
                del facts["sha256"]
            (self.folder / subdir).mkdir(parents=True, exist_ok=True)
            text = json.dumps({"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}})
            (self.folder / subdir / "repodata.json").write_text(text)


def _path(path: str, kind: str, content: bytes) -> dict[str, object]:
    return {
        "_path": path,
        "path_type": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }


def _tar(texts: Mapping[str, str], links: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in texts.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return packed.getvalue()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the channels in a folder. Yield the address below which they are found by their names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
