"""Configuration files are read in a process with limits. A file that exceeds them is reported as the repository's fault."""

import os
import threading
import time
from pathlib import Path

import pytest

from bindery.domain.errors import BuildFailed, CannotBuild, RepositoryUnusable
from bindery_builder.build_log import BuildLog
from bindery_builder.environments.plan import read_plan
from bindery_builder.environments.planning import planned
from bindery_builder.process.runner import Room, Runner
from tests.building import written
from tests.fakes.queue import FakeQueue

DOTTED = "a" + ".a" * 26_000 + " = 1\n"


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    log = BuildLog(FakeQueue(), "key", 1)
    environment = {"PATH": os.environ["PATH"]}
    return Runner(environment, time.monotonic() + 200, threading.Event(), log, Room(tmp_path, 10**9))


@pytest.mark.parametrize("name", ["pyproject.toml", "Pipfile"])
def test_dotted_keys_that_need_gigabytes_fail_the_build_with_a_message(
    tmp_path: Path, runner: Runner, name: str
) -> None:
    content = written(tmp_path / "content", {name: DOTTED})
    with pytest.raises(BuildFailed, match=r"more (memory|time)") as failed:
        planned(runner, content, tmp_path)
    assert failed.value.facts["step"] == "configuration files"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"requirements.txt": "six", "postBuild": "#!/bin/sh\n", "start": "#!/bin/sh\n", "runtime.txt": "python-3.11"},
        {"environment.yml": "dependencies: [python=3.11, numpy, pip: [six]]"},
        {"Pipfile": '[packages]\nsix = "*"\n[requires]\npython_version = "3.11"\n'},
        {"pyproject.toml": "[project]\nname = 'x'\n"},
    ],
)
def test_a_plan_from_the_limited_process_equals_one_from_this_process(
    tmp_path: Path, runner: Runner, files: dict[str, str]
) -> None:
    content = written(tmp_path / "content", files)
    assert planned(runner, content, tmp_path) == read_plan(content)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"runtime.txt": "x"}, BuildFailed),
        ({"Dockerfile": "FROM x"}, CannotBuild),
        ({"binder/start": "", ".binder/start": ""}, RepositoryUnusable),
    ],
)
def test_a_refusal_from_the_limited_process_has_all_its_facts(
    tmp_path: Path, runner: Runner, files: dict[str, str], kind: type[Exception]
) -> None:
    content = written(tmp_path / "content", files)
    with pytest.raises(kind) as here:
        read_plan(content)
    with pytest.raises(kind) as there:
        planned(runner, content, tmp_path)
    assert str(there.value) == str(here.value)
