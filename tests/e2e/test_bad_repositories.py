"""Tests of repositories that cannot be used, cannot be built here, or do harm. Each ends with a message, and the
service goes on.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.serving.git_http import File, GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime, Stream

Spec = Callable[..., str]
Files = Mapping[str, str | bytes | File]
LINK, SUBMODULE = 0o120000, 0o160000
COMMIT = "1234567890123456789012345678901234567890"


HOSTILE_SUBMODULES = (
    "file:///etc",
    "ext::sh -c touch% /tmp/pwned",
    "--upload-pack=touch /tmp/pwned",
    "http://169.254.169.254/r",
    "http://127.0.0.1:1/r",
    "ssh://-oProxyCommand=touch% /tmp/pwned/r",
)


UNUSABLE: dict[str, tuple[Files, str]] = {
    "requirements outside": ({"requirements.txt": File("/etc/passwd", LINK)}, "requirements.txt is a link"),
    "requirements up": ({"requirements.txt": File("../../../../etc/passwd", LINK)}, "requirements.txt is a link"),
    "postBuild outside": ({"postBuild": File("/bin/true", LINK)}, "postBuild is a link"),
    "binder outside": ({"binder": File("/etc", LINK)}, "binder is a link"),
    "circle": ({"environment.yml": File("environment.yml", LINK)}, "environment.yml is a link"),
    "two folders": ({"binder/x": "", ".binder/x": ""}, "both a binder/ and a .binder/"),
    "large requirements": ({"requirements.txt": "# long\n" * 200_000}, "1 MB"),
    "apt": ({"apt.txt": "graphviz\n"}, "apt.txt asks for Debian packages (graphviz)"),
    "Dockerfile": ({"Dockerfile": "FROM scratch\n"}, "Dockerfile asks for a container image"),
    "R": ({"install.R": "1\n"}, "install.R asks for R"),
    "R runtime": ({"runtime.txt": "r-4.1-2021-05-05\n"}, "runtime.txt asks for R"),
    "Julia": ({"Project.toml": "[deps]\n"}, "Project.toml asks for Julia"),
    "Nix": ({"default.nix": "{}\n"}, "default.nix asks for Nix"),
    "Python of tomorrow": ({"runtime.txt": "python-3.99\n"}, "Python 3.99 is not on this machine"),
    "no YAML": ({"environment.yml": "a: [\n"}, "environment.yml"),
    "no TOML": ({"pyproject.toml": "[project\n"}, "pyproject.toml"),
    "no requirements": ({"requirements.txt": "!!!\n"}, "requirements.txt"),
    "no UTF-8": ({"requirements.txt": b"caf\xe9\n"}, "UTF-8"),
    "unknown package": ({"requirements.txt": "bindery-tests-name-nothing-that-exists\n"}, "nothing-that-exists"),
    "failing postBuild": ({"postBuild": "#!/bin/sh\necho before; exit 3\n"}, "postBuild"),
}
ODD: dict[str, Files] = {
    "names that differ in case": {"README.md": "1\n", "readme.md": "2\n", "ReadMe.md": "3\n"},
    "names that are no text": {"caf\udce9.txt": "1\n", "\udcff\udcfe": "2\n", "line\nbreak": "3\n"},
    "links out of the tree": {"passwd": File("/etc/passwd", LINK), "up": File("../../..", LINK)},
    "submodules that cannot be had": {
        ".gitmodules": "".join(
            f'[submodule "m{number}"]\n\tpath = m{number}\n\turl = {url}\n'
            for number, url in enumerate(HOSTILE_SUBMODULES)
        ),
        **{f"m{number}": File(COMMIT, SUBMODULE) for number in range(len(HOSTILE_SUBMODULES))},
    },
    "an unnamed submodule": {"m": File(COMMIT, SUBMODULE)},
    "a name like an option": {"--upload-pack=x": "1\n", "-rf": "2\n"},
}


@pytest.fixture(autouse=True)
def goes_on(bindery: LocalRuntime) -> Iterator[None]:
    start = len(bindery.log)
    yield
    assert bindery.get("/health").status_code == 200
    assert not Path("/tmp/pwned").exists()
    assert bindery.builds() == {}
    assert "Traceback" not in bindery.log[start:]


def built(bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, name: str, files: Files) -> Stream:
    folder = f"{re.sub(r'[^a-z]+', '-', name.lower())}.git"
    make_repository(git_server.root / folder, files)
    return bindery.launch(spec_of(folder), build_only="true")


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_repository_that_cannot_be_built_fails_with_its_reason(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, name: str
) -> None:
    files, why = UNUSABLE[name]
    failed = built(bindery, git_server, spec_of, name, files)
    assert failed.last.phase == "failed"
    check_readable(failed.last.message)
    assert why in failed.last.message
    assert "root:" not in failed.text


@pytest.mark.parametrize("name", ODD)
def test_an_unusual_repository_is_launched_with_only_its_files(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec, name: str
) -> None:
    branch = name.replace(" ", "-")
    make_repository(git_server.root / "odd.git", ODD[name], branch=branch)
    launched = bindery.launch(spec_of("odd.git", branch))
    assert launched.last.phase == "ready", launched.last.message
    code = "import subprocess\nfor line in ('git status --porcelain', 'git ls-files -z'): "
    code += "print(subprocess.run(line.split(), capture_output=True, check=True).stdout)"
    changed, files = Session.of(launched.last.data).run(code).splitlines()
    assert changed == "b''"
    assert files.count("\\x00") == len(ODD[name])


def test_a_hundred_megabytes_of_build_output_use_little_memory_and_log(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec
) -> None:
    zeros = "head -c 100000000 /dev/zero | tr '\\0' x"
    script = f"#!/bin/sh\n{zeros} | fold -w 99\n{zeros}\necho\necho the last line\n"  # in lines, then all in one line
    before = bindery.memory()
    outcome = built(bindery, git_server, spec_of, "loud", {"postBuild": script})
    assert outcome.last.phase == "ready"
    assert "the last line\n" in outcome.text
    assert "lines left out" in outcome.text
    assert len(outcome.text) < 3_000_000
    assert bindery.memory() - before < 200_000_000


def test_an_endless_post_build_is_ended_at_its_limit(home: Path, git_server: GitServer, spec_of: Spec) -> None:
    script = "#!/bin/sh\nsetsid sleep 1000 &\ntrap '' TERM\nwhile true; do sleep 1; done\n"
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings={"build_seconds": 10}) as bindery:
        failed = built(bindery, git_server, spec_of, "endless", {"postBuild": script})
        assert failed.last.phase == "failed"
        assert "took longer than it may" in failed.last.message
        check_readable(failed.last.message)
        assert bindery.builds() == {}


def test_a_huge_file_is_refused_before_it_fills_the_disk(
    bindery: LocalRuntime, git_server: GitServer, spec_of: Spec
) -> None:
    failed = built(bindery, git_server, spec_of, "huge", {"data.bin": bytes(501 * 1024 * 1024)})
    assert failed.last.phase == "failed"
    assert "data.bin" in failed.last.message
    assert "100 MiB" in failed.last.message
    check_readable(failed.last.message)
