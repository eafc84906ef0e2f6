"""The control plane's reading of a stranger's files, in a process with bounded memory and CPU time."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery.domain.build_files import CHARACTERS_FOLLOWED, configuration
from bindery.domain.environment import Scope
from bindery.domain.pyproject import LARGEST, may_be_package
from bindery.domain.repository import Entry, Tree
from bindery.domain.safe_yaml import LARGEST as LARGEST_YAML

ROOT = Path(__file__).parents[2]
MEMORY_BYTES, CPU_SECONDS = 400_000_000, 20
SCOPE_OF = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
from bindery.domain.build_files import configuration
from bindery.domain.repository import Entry, Tree
content = sys.stdin.buffer.read()
print(configuration(Tree("tree", {{"{name}": Entry("{name}", 0o100644, "1")}}), lambda entry: content).scope)
"""
ITEMS = (
    *(
        "[project]",
        "[project.x]",
        '["project"]',
        "['project']",
        '["pro\\u006aect"]',
        "[[project]]",
        "[ project ]",
        "[project . x]",
    ),
    *("[build-system]", '["build-system"]', "project = {}", "project.name = 1", '"project".x = 1', "'project' = 1"),
    *(
        '"pro\\u006aect".x = 1',
        "[tool.ruff]",
        "[tool.project]",
        "a = 1",
        "# [project]",
        'b = """',
        '"""',
        "[x] # project",
    ),
    *("\t[tool.x]", " [ project ]\r", "c = [", "[1, 2],", "]", "", "project = 2", "\x0c[project]", "\ufeff[project]"),
)


def scope_of(name: str, content: bytes) -> str:
    """Return the scope that the control plane finds in a bounded process, or how that process ended."""
    code = SCOPE_OF.format(memory=MEMORY_BYTES, seconds=CPU_SECONDS, name=name)
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, input=content, capture_output=True, cwd=ROOT / "layers" / "bindery", timeout=120)
    return ended.stdout.decode().strip() or f"exit code {ended.returncode}: {ended.stderr.decode()[-300:]}"


@pytest.mark.parametrize("kilobytes", [16, 52, 1000])
def test_dotted_keys_of_any_length_need_little_memory(kilobytes: int) -> None:
    """A parser of TOML needs over 400 MB for 52 kB of these keys."""
    assert scope_of("pyproject.toml", b"a" + b".a" * (kilobytes * 500) + b" = 1\n") == "tree"


@pytest.mark.parametrize(
    "text",
    ["[" + "a," * 99_500 + "]", "- b\n" * 50_000, "{" + "a: b, " * 33_000 + "}", "[" * 199_000, "{" * 199_000],
)
def test_yaml_over_the_limit_makes_the_whole_tree_an_input(text: str) -> None:
    assert scope_of("environment.yml", text.encode()) == "tree"
    assert len(text) > LARGEST_YAML


@pytest.mark.parametrize("text", ["[" + "a," * 9_990 + "]", "- b\n" * 4_990, "[" * 20_000, "{" * 20_000])
def test_the_largest_accepted_yaml_is_read_within_the_resource_limits(text: str) -> None:
    assert scope_of("environment.yml", text.encode()) in ("files", "tree")


def test_requirements_over_a_total_length_make_the_whole_tree_an_input() -> None:
    """A hundred files of one megabyte each would take a minute of CPU time."""
    reads: list[str] = []

    def read(entry: Entry) -> bytes:
        reads.append(entry.path)
        number = int(entry.path.removesuffix(".txt").removeprefix("requirements") or 0)
        return f"-r requirements{number + 1}.txt\n#".encode() + b"x" * 900_000

    names = [f"requirements{number or ''}.txt" for number in range(60)]
    tree = Tree("tree", {name: Entry(name, 0o100644, name) for name in names})
    assert configuration(tree, read).scope is Scope.TREE
    assert len(reads) * 900_000 <= CHARACTERS_FOLLOWED + 900_000


@given(st.lists(st.sampled_from(ITEMS), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_the_line_scanner_finds_every_package_that_a_toml_parser_finds(items: list[str], end: str) -> None:
    text = end.join(items)
    try:
        tables = tomllib.loads(text)
    except ValueError:
        return
    if "project" in tables or "build-system" in tables:
        assert may_be_package(text.encode())


@pytest.mark.parametrize("item", ITEMS)
def test_every_spelling_of_a_package_table_is_found(item: str) -> None:
    try:
        tables = tomllib.loads(item)
    except ValueError:
        tables = {}
    assert may_be_package(item.encode()) or not {"project", "build-system"} & tables.keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# tools\n\n[tool.ruff]\nselect = [\n'E',\n]\n[tool.ruff.lint]\n",
        '["tool".black]\nx = 1\n',
        "[[tool.mypy.overrides]]\n",
    ],
)
def test_a_pyproject_with_tool_tables_only_is_no_package(text: str) -> None:
    assert not may_be_package(text.encode())
    assert may_be_package(text.encode() + b"#" * (LARGEST + 1))
