"""The table of configuration files, which has every name that repo2docker's source looks for. Builds know no other names."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bindery.domain.build_files import FILES, FOLDERS, JULIA, NAMES
from bindery_builder.process.scripts import ConfigurationFiles

SPEC = find_spec("repo2docker")
assert SPEC
assert SPEC.origin
PACKS = Path(SPEC.origin).parent / "buildpacks"
LOOKS = {"binder_path", "exists", "isdir", "isfile", "open", "open_guess_encoding", "Path"}
NEVER_USED = {"legacy/__init__.py"}
"""repo2docker_script.py leaves out this build pack."""
RUN_BY_HAND = {"conda/freeze.py"}
"""A tool for repo2docker's own developers."""
Names = dict[str, set[str]]


def constants(node: ast.expr | None) -> set[str]:
    """Return the strings in a constant, a list or a tuple, and an empty set for any other node."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.List | ast.Tuple):
        return {string for element in node.elts for string in constants(element)}
    return set()


def named(tree: ast.AST) -> Names:
    """Return the strings that each variable, loop variable or class attribute may hold."""
    strings: Names = {}
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.For):
            pairs = [(node.target, node.iter)]
        for target, value in pairs:
            if isinstance(target, ast.Name):
                strings.setdefault(target.id, set()).update(constants(value))
    return strings


def looked_for(tree: ast.AST) -> Iterator[tuple[str, str, set[str]]]:
    """Yield each call that looks for a file: the function, the argument's source, and the names that it may have."""
    variables = named(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = getattr(node.func, "attr", getattr(node.func, "id", ""))
        argument = node.args[0]
        if function in LOOKS:
            variable = getattr(argument, "attr", getattr(argument, "id", ""))
            yield function, ast.unparse(argument), constants(argument) | variables.get(variable, set())


def names_of_repo2docker() -> set[str]:
    """Return the names of a repository's files in the source of every build pack."""
    collected: set[str] = set()
    for file in PACKS.rglob("*.py"):
        if str(file.relative_to(PACKS)) in NEVER_USED | RUN_BY_HAND:
            continue
        for function, argument, names in looked_for(ast.parse(file.read_text())):
            assert names or function != "binder_path", (
                f"{file}: the names in binder_path({argument}) are not understood"
            )
            collected |= {name for name in names if not name.startswith("/")}
    return collected


def test_the_key_covers_every_file_name_of_repo2docker() -> None:
    names = names_of_repo2docker()
    assert {"environment.yml", "environment.yaml", "postBuild", "DESCRIPTION", ".dockerignore"} <= names
    assert names - NAMES == {folder.rstrip("/") for folder in FOLDERS}


def test_additional_file_names_are_those_that_julia_reads() -> None:
    assert NAMES - names_of_repo2docker() <= set(JULIA)


def test_file_names_in_loops_and_variables_of_build_packs_are_found() -> None:
    source = (
        "for name in ('a.txt', 'b.txt'):\n  self.binder_path(name)\nc = 'c.txt'\nopen(c)\nself.binder_path('d' + x)\n"
    )
    calls = {argument: names for _, argument, names in looked_for(ast.parse(source))}
    assert calls == {"name": {"a.txt", "b.txt"}, "c": {"c.txt"}, "'d' + x": set()}


@pytest.mark.parametrize("name", ["environment2.yml", "../requirements.txt", "README.md"])
def test_a_build_cannot_look_up_a_file_name_that_keys_do_not_cover(tmp_path: Path, name: str) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(LookupError):
        ConfigurationFiles.of(tmp_path).find("requirements.txt", name)


def test_a_build_finds_the_first_of_several_names(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("x")
    files = ConfigurationFiles.of(tmp_path)
    assert files.find("Pipfile.lock", "Pipfile") == tmp_path / "Pipfile.lock"
    (tmp_path / "Pipfile.lock").unlink()
    assert files.find("Pipfile.lock", "Pipfile") == tmp_path / "Pipfile"
