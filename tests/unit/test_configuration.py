"""The files that define an environment, and the cases in which the whole tree defines it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from bindery.domain.build_files import CONDA, FILES, Configuration, configuration, folder_of
from bindery.domain.environment import Scope
from bindery.domain.errors import RepositoryTooLarge, RepositoryUnusable
from bindery.domain.repository import Entry, Tree

HISTORIES = Path(__file__).resolve().parents[2].parent / "shared" / "histories"
LINK, FILE, SUBMODULE = 0o120000, 0o100644, 0o160000


def configured(files: Mapping[str, str | bytes], links: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration of a tree with these files. links: path -> target."""
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    contents |= {path: target.encode() for path, target in (links or {}).items()}
    entries = {
        path: Entry(path, LINK if path in (links or {}) else FILE, sha256(text).hexdigest()[:8])
        for path, text in contents.items()
    }
    read: list[str] = []

    def content(entry: Entry) -> bytes:
        read.append(entry.path)
        return contents[entry.path]

    result = configuration(Tree("tree", entries), content)
    assert len(read) <= 250
    return result


def paths(files: Mapping[str, str | bytes]) -> set[str]:
    """Return the files that count, in a case where only files count and not the whole tree."""
    result = configured(files)
    assert result.scope is Scope.FILES
    return set(result.files)


@pytest.mark.parametrize("folder", ["", "binder/", ".binder/"])
@pytest.mark.parametrize(
    "name",
    [*FILES, "Manifest-v1.11.toml", "JuliaManifest-v1.12.toml"],
)
def test_each_configuration_file_of_repo2docker_is_an_input(folder: str, name: str) -> None:
    text = "dependencies: [numpy]\n" if name in CONDA else "numpy\n"
    assert paths({folder + name: text, "README.md": "x", "src/a.py": "y", f"sub/{name}": text}) == {folder + name}


def test_environment_yaml_files_with_different_contents_have_different_keys() -> None:
    one, other = (configured({"environment.yaml": f"dependencies: [{name}]"}) for name in ("numpy", "pandas"))
    assert one.files != other.files
    assert one.files != configured({"README.md": "x"}).files


@pytest.mark.parametrize(("yaml", "scope"), [("-e .", Scope.TREE), ("numpy", Scope.FILES)])
def test_the_pip_part_of_environment_yaml_is_read_if_there_is_no_environment_yml(yaml: str, scope: Scope) -> None:
    files = {"environment.yaml": f"dependencies: [pip: ['{yaml}']]"}
    assert configured(files).scope is scope
    assert configured({**files, "environment.yml": "dependencies: [numpy]"}).scope is Scope.FILES


@pytest.mark.parametrize(
    "script",
    [
        *("", "install.packages('ggplot2')\n", 'install.packages(c("a", "b"), repos = "https://cran.r-project.org")'),
        "# Packages (of CRAN)\npkgs <- c('a')\nif (!require('a')) install.packages(pkgs)\n",
        "library(devtools)\ndevtools::install_github('owner/repository')\n",
        "BiocManager::install(c('limma'), ask = FALSE)",
        "for (p in c('a', 'b')) if (!(p %in% rownames(installed.packages()))) install.packages(p)",
    ],
)
def test_an_install_r_that_only_installs_from_servers_is_the_only_input(script: str) -> None:
    assert paths({"install.R": script, "R/deps.R": "x"}) == {"install.R"}


@pytest.mark.parametrize(
    "script",
    [
        *("source('R/deps.R')", "renv::restore()", "devtools::install()", "remotes::install_deps('.')", "install('a')"),
        *(
            "install.packages('a.tar.gz', repos = NULL)",
            "install.packages('./a')",
            "install.packages(readLines('p.txt'))",
        ),
        *("install.packages('a', .libPaths()[1], NULL)", "install.packages('a', '/lib', NULL)"),
        *("install.packages('x', contriburl='vendor')", "install.packages('file:///home/jovyan/x')", "system('make')"),
        "install.packages(c('a',\n# ') ; source('x.R') # '\n'b'))",
        *("sapply(c('a'), source)", "install.packages('a\\u002fb')", "c('a')\n" * 5000, b"\xff\xfe"),
    ],
)
def test_an_install_r_that_may_read_other_files_makes_the_whole_tree_an_input(script: str | bytes) -> None:
    assert configured({"install.R": script}).scope is Scope.TREE


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["a", "a.", "a:", "a::", "\n", " ", "#\n", "#'", "'", "c(", "repos =", "uuid"])
def test_untrusted_text_is_searched_in_linear_time(unit: str) -> None:
    for name, size in (("install.R", 20_000), ("Project.toml", 1_000_000), ("Pipfile", 1_000_000)):
        configured({name: unit * (size // len(unit))})


@pytest.mark.parametrize("text", ["name = 'A'\nuuid = '1'\n", "[workspace]\nprojects = ['docs']\n", "  uuid='1'"])
@pytest.mark.parametrize("name", ["Project.toml", "JuliaProject.toml"])
def test_a_julia_project_that_is_a_package_makes_the_whole_tree_an_input(name: str, text: str) -> None:
    assert configured({name: text, "src/A.jl": "x"}).scope is Scope.TREE


def test_julia_environment_files_are_the_only_inputs() -> None:
    files = {
        "Project.toml": "[deps]\nPlots = 'uuid of it'\n[compat]\njulia = '1.10'\n",
        "Manifest.toml": "[[deps.A]]\nuuid = '1'\n",
    }
    assert paths(files) == set(files)


@pytest.mark.parametrize("folder", ["", "binder/", ".binder/"])
@pytest.mark.parametrize("name", ["Dockerfile", "postBuild", "default.nix"])
def test_a_file_that_may_read_any_other_makes_the_whole_tree_an_input(folder: str, name: str) -> None:
    assert configured({folder + name: "", "a": ""}).scope is Scope.TREE


@pytest.mark.parametrize("folder", ["binder/", ".binder/"])
def test_with_a_binder_folder_files_in_the_root_are_no_inputs(folder: str) -> None:
    files = {f"{folder}apt.txt": "git", "requirements.txt": "-e .", "postBuild": "", "setup.py": "", "Dockerfile": ""}
    assert paths(files) == {f"{folder}apt.txt"}


def test_two_binder_folders_are_refused() -> None:
    with pytest.raises(RepositoryUnusable):
        configured({"binder/apt.txt": "", ".binder/apt.txt": ""})


def test_a_file_called_binder_is_not_a_binder_folder() -> None:
    assert folder_of(Tree("tree", {"binder": Entry("binder", FILE, "1")})) == ""
    assert paths({"binder": "x", "requirements.txt": "numpy"}) == {"requirements.txt"}


@pytest.mark.parametrize("mode", [LINK, SUBMODULE])
def test_a_binder_folder_that_is_a_link_or_submodule_makes_the_whole_tree_an_input(mode: int) -> None:
    tree = Tree("tree", {"binder": Entry("binder", mode, "1"), "apt.txt": Entry("apt.txt", FILE, "2")})
    assert configuration(tree, lambda entry: b"").scope is Scope.TREE


@pytest.mark.parametrize("name", ["setup.py", "DESCRIPTION", "pyproject.toml"])
def test_a_package_in_the_root_makes_the_whole_tree_an_input(name: str) -> None:
    text = "[project]\nname='x'\n" if name.endswith(".toml") else ""
    assert configured({name: text, "requirements.txt": "numpy"}).scope is Scope.TREE


@pytest.mark.parametrize("text", ["[tool.ruff]\nline-length = 120\n", "", "[tool.pytest.ini_options]\n"])
def test_a_pyproject_that_only_configures_tools_is_no_package(text: str) -> None:
    assert paths({"pyproject.toml": text, "requirements.txt": "numpy"}) == {"requirements.txt"}


@pytest.mark.parametrize("text", ["[build-system]\n", "[project]\n", "[not toml", b"\xff\xfe", "a = " + "[" * 50_000])
def test_a_pyproject_that_builds_or_is_unreadable_is_a_package(text: str | bytes) -> None:
    assert configured({"pyproject.toml": text}).scope is Scope.TREE


def test_included_requirements_files_are_inputs_even_in_a_cycle() -> None:
    files = {
        "requirements.txt": "numpy\n-r a/one.txt\n",
        "a/one.txt": "-r two.txt\n--requirement=../three.txt\n",
        "a/two.txt": "-c../four.txt # why not\n",
        "three.txt": "-r requirements.txt\n--constraint   four.txt\n",
        "four.txt": "pandas<3\n",
        "five.txt": "unrelated\n",
    }
    assert paths(files) == set(files) - {"five.txt"}


def test_a_changed_constraint_file_changes_the_inputs() -> None:
    before = configured({"requirements.txt": "-c c.txt", "c.txt": "numpy<2"})
    after = configured({"requirements.txt": "-c c.txt", "c.txt": "numpy<3"})
    assert before.files != after.files


@pytest.mark.parametrize("chain", [50, 5000])
def test_a_long_chain_of_requirements_files_makes_the_whole_tree_an_input(chain: int) -> None:
    files = {f"r{n}.txt": f"-r r{n + 1}.txt" for n in range(chain)}
    result = configured({"requirements.txt": "-r r0.txt", **files, f"r{chain}.txt": "numpy"})
    assert result.scope is (Scope.FILES if chain == 50 else Scope.TREE)


def test_thousands_of_requirements_files_make_the_whole_tree_an_input() -> None:
    files = {f"r{n}.txt": "numpy" for n in range(4000)}
    lines = "".join(f"-r {name}\n" for name in files)
    assert configured({"requirements.txt": lines, **files}).scope is Scope.TREE


@pytest.mark.parametrize(
    "line",
    [
        *(
            "-e .",
            "-e.",
            "--editable .",
            "--editable=./sub",
            "-e ./sub[extra]",
            ".",
            "./sub",
            "../above",
            "/home/jovyan",
        ),
        *("sub/pkg", "wheels/a.whl", "a.whl", "a.tar.gz", "file:///home/jovyan", "file:sub", "pkg @ file:///srv/x"),
        *("pkg@file:///srv/x", "-f wheels", "--find-links=./wheels", "git+file:///srv/repo", "-e git+file:///srv/repo"),
        *("-r missing.txt", "-c missing.txt", "-r ../above.txt", "-r linked/one.txt", "-e sub ; python_version > '3'"),
        "pkg @ ./sub",
    ],
)
def test_a_requirement_that_may_read_the_tree_makes_the_whole_tree_an_input(line: str) -> None:
    result = configured({"requirements.txt": f"numpy\n{line}\n", "sub/setup.py": ""}, links={"linked": "sub"})
    assert result.scope is Scope.TREE


@pytest.mark.parametrize(
    "line",
    [
        *("numpy", "numpy==1.2", "numpy[extra]>=1 ; python_version > '3'", "pkg @ https://host.example/p.whl"),
        *("git+https://host.example/p.git@v1#egg=p", "-e git+https://host.example/p.git#egg=p", "--pre", "# -e ."),
        *("-i https://index.example/simple", "--index-url=https://index.example/simple", "--no-binary :all:"),
        *("--extra-index-url https://index.example", "numpy # -e .", "numpy --hash=sha256:abc", "   ", "sub"),
        *("-f https://host.example/wheels", "-r https://host.example/r.txt", "# \\\nnumpy"),
    ],
)
def test_an_ordinary_requirement_does_not_make_the_tree_an_input(line: str) -> None:
    assert paths({"requirements.txt": f"{line}\n", "sub/setup.py": ""}) == {"requirements.txt"}


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff-e .\n",
        "# a comment \\\n-e .\n",
        "-e \\\n.\n",
        "-\\\ne .\n",
        "numpy\r\n-e .\r\n",
        "numpy\x0c-e .",
        "-e \\\r\n.",
    ],
)
def test_unusual_spellings_of_a_local_requirement_are_recognised(text: str) -> None:
    assert configured({"requirements.txt": text}).scope is Scope.TREE


@pytest.mark.parametrize("text", [b"\xff\xfe-\0e\0 \0.\0", b"numpy # \xe9\n"])
def test_undecodable_requirements_make_the_whole_tree_an_input(text: bytes) -> None:
    assert configured({"requirements.txt": text}).scope is Scope.TREE


def test_a_local_requirement_far_down_in_the_file_is_recognised() -> None:
    assert configured({"requirements.txt": "numpy\n" * 10_000 + "-e .\n"}).scope is Scope.TREE


def test_a_file_too_large_to_read_makes_the_whole_tree_an_input() -> None:
    def refuse(entry: Entry) -> bytes:
        raise RepositoryTooLarge(url="https://host.example", limit="1 MB")

    tree = Tree("tree", {"requirements.txt": Entry("requirements.txt", FILE, "1")})
    assert configuration(tree, refuse).scope is Scope.TREE


@pytest.mark.parametrize(
    "name", ["requirements.txt", "environment.yml", "apt.txt", "start", "Pipfile", "binder/apt.txt"]
)
def test_a_configuration_file_that_is_a_link_makes_the_whole_tree_an_input(name: str) -> None:
    assert configured({"real.txt": "numpy"}, links={name: "real.txt"}).scope is Scope.TREE


def test_a_pyproject_that_is_a_link_makes_the_whole_tree_an_input() -> None:
    assert configured({"real.toml": ""}, links={"pyproject.toml": "real.toml"}).scope is Scope.TREE


def test_included_requirements_that_are_a_link_make_the_whole_tree_an_input() -> None:
    files = {"requirements.txt": "-r more.txt", "real.txt": "numpy"}
    assert configured(files, links={"more.txt": "real.txt"}).scope is Scope.TREE


def test_files_included_by_the_pip_part_of_an_environment_are_inputs() -> None:
    environment = "name: x\ndependencies:\n  - python=3.12\n  - pip:\n    - numpy\n    - -r more.txt\n"
    files = {"binder/environment.yml": environment, "binder/more.txt": "pandas", "more.txt": "other"}
    assert paths(files) == {"binder/environment.yml", "binder/more.txt"}


@pytest.mark.parametrize("line", ["-e .", ".", "./sub", "sub/pkg", "file:///home/jovyan"])
def test_a_local_requirement_in_the_pip_part_makes_the_whole_tree_an_input(line: str) -> None:
    environment = f"dependencies:\n  - pip:\n    - {line}\n"
    assert configured({"environment.yml": environment}).scope is Scope.TREE


@pytest.mark.parametrize("line", ["./local.conda", "/srv/local.conda", "file:///srv/local.conda"])
def test_a_local_conda_package_makes_the_whole_tree_an_input(line: str) -> None:
    assert configured({"environment.yml": f"dependencies: [{line}]\n"}).scope is Scope.TREE


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "7", "[]", "x", "dependencies:", "dependencies: 5", "dependencies: {a: b}", "dependencies: [7]"),
        *("dependencies: [{pip: 5}]", "dependencies: [{pip: {a: b}}]", "dependencies: [{pip: [[x]]}]", "2001-99-99"),
        *("1" * 5000, "dependencies: [{pip: null}]", ":".join(["1"] * 9_000)),
    ],
)
def test_an_environment_of_an_unusual_form_is_the_only_input(text: str) -> None:
    assert paths({"environment.yml": text}) == {"environment.yml"}


def laughs(levels: int, nested: str) -> str:
    """Return a few hundred characters that would expand to 10 to the power of `levels` values."""
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join((*lines, nested.format(f"*a{levels - 1}")))


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        laughs(12, "dependencies: {}"),
        laughs(12, "dependencies: [pip: {}]"),
        laughs(12, "dependencies: [pip: [{}]]"),
        "a: &a {x: 1}\nb: &b\n  <<: [*a, *a]\n",
        "[" * 100_000,
        "{" * 100_000,
        "- " * 100_000,
        "dependencies: " + "[" * 1000 + "]" * 1000,
        "a: &a [*a]",
        "x" * 1_000_000,
        "\t\x00",
        "a: b: c",
        "dependencies:\n  - pip: [&x numpy, *x]\n",
    ],
)
def test_a_yaml_bomb_makes_the_whole_tree_an_input_without_expansion(text: str) -> None:
    assert configured({"environment.yml": text}).scope is Scope.TREE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Pipfile", '[packages]\nmine = {path = "."}\n'),
        ("Pipfile", '[packages.mine]\n"path" = "./sub"\n'),
        ("Pipfile", '[packages]\nmine = {file = "a.whl"}\n'),
        ("Pipfile.lock", '{"default": {"mine": {"path": "."}}}'),
        ("Pipfile.lock", r'{"default": {"mine": {"\u0070ath": "."}}}'),
        ("Pipfile", '[packages]\nmine = {"pa\\U00000074h" = "."}\n'),
        ("Manifest.toml", 'path = "../Mine.jl"\n'),
        ("Project.toml", '[sources]\nMine = {path = "Mine.jl"}\n'),
    ],
)
def test_a_path_in_a_pipfile_makes_the_whole_tree_an_input(name: str, text: str) -> None:
    assert configured({name: text}).scope is Scope.TREE


@pytest.mark.parametrize("folder", ["", "binder/"])
def test_an_ordinary_pipfile_is_the_only_input(folder: str) -> None:
    pipfile = (
        '[[source]]\nurl = "https://pypi.org/simple"\n[packages]\nnumpy = "*"\n[requires]\npython_version = "3.12"\n'
    )
    lock = '{"_meta": {"hash": {"sha256": "x"}}, "default": {"numpy": {"hashes": ["sha256:x"], "version": "==2"}}}'
    files = {f"{folder}Pipfile": pipfile, f"{folder}Pipfile.lock": lock}
    assert paths(files) == set(files)


@pytest.mark.parametrize("history", ["jupyterlab-demo", "nbgitpuller"])
def test_commits_without_configuration_changes_keep_their_inputs(history: str) -> None:
    recorded = HISTORIES / f"{history}.jsonl"
    if not recorded.exists():
        pytest.skip("shared recordings are not here")
    before: Configuration | None = None
    unchanged = changed = 0
    previous: dict[str, str] = {}
    for line in recorded.read_text().splitlines():
        commit = json.loads(line)
        files: dict[str, str] = commit["config"]
        try:
            current = over(files)
        except RepositoryUnusable:
            before = None
            continue
        if before is not None and not set(commit["paths"]) & {*files, *previous}:
            assert (current.scope, current.files) == (before.scope, before.files), commit["commit"]
            unchanged += 1
        elif before is not None and current.files != before.files:
            changed += 1
        before, previous = current, files
    assert unchanged > 20
    assert changed >= 3


def over(files: Mapping[str, str]) -> Configuration:
    """Return the configuration of recorded blob ids. Contents were not recorded, so no file refers to another one."""
    tree = Tree("tree", {path: Entry(path, FILE, blob) for path, blob in files.items()})
    return configuration(tree, lambda entry: b"")
