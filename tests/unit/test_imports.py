"""The modules that each function has loaded when it can take its first message, because a cold start is mostly imports.

A budget is a little above the count at the time when it was set. A function over its budget has a new import that each start
waits for. Leave that module out, or import it where it is needed. `make bench` shows the cost of each module.
"""

import sys
from functools import cache

import pytest

from tests.serving.inits import FUNCTIONS, ROOT, Init, init

HOT = ("stream_launch", "resolve_repository", "start_session")
BUDGETS = {
    "answer_api": 405,
    "cull_sessions": 296,
    "fail_launch": 290,
    "reconcile": 325,
    "record_build": 335,
    "record_log": 314,
    "resolve_repository": 330,
    "serve_pages": 430,
    "start_build": 300,
    "start_session": 305,
    "stop_session": 293,
    "stream_launch": 390,
}
NOWHERE = (
    "kubernetes",
    "moto",
    "repo2docker",
    "uv",
    "httpx",
    "requests",
    "boto3",
    "s3transfer",
    "yaml",
    "tomllib",
    "tests",
    "aws_lambda_powertools.utilities.batch",
    "prometheus_client",
)
ONLY_IN = {
    "jinja2": {"serve_pages"},
    "starlette": {"stream_launch"},
    "uvicorn": {"stream_launch"},
    "sse_starlette": {"stream_launch"},
    "aws_lambda_powertools": set(FUNCTIONS) - {"stream_launch"},
    "bindery.adapters.hosts": {"answer_api", "serve_pages", "stream_launch", "resolve_repository"},
    "bindery.adapters.kubernetes": {"start_session", "stop_session", "cull_sessions", "reconcile"},
    "bindery.adapters.aws.codebuild": {"resolve_repository", "start_build", "record_build", "reconcile"},
}


@cache
def start(name: str) -> Init:
    return init(name, sys.executable, PYTHONPATH=str(ROOT / "layers" / "bindery"))


def packages(name: str) -> set[str]:
    """Return every loaded package, including the parent packages of each module's name."""
    names = start(name).modules
    return {
        ".".join(parts[:count]) for parts in (each.split(".") for each in names) for count in range(1, len(parts) + 1)
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_stays_within_its_budget_of_modules(name: str) -> None:
    assert len(start(name).installed) <= BUDGETS[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_loads_no_package_that_it_does_not_use(name: str) -> None:
    assert packages(name) & set(NOWHERE) == set()
    assert {heavy for heavy, where in ONLY_IN.items() if heavy in packages(name) and name not in where} == set()


@pytest.mark.parametrize("heavy", ONLY_IN)
def test_a_heavy_package_is_loaded_by_its_functions_only(heavy: str) -> None:
    """Without this rule, a function that did not start would stay within its budget."""
    assert {name for name in FUNCTIONS if heavy in packages(name)} == ONLY_IN[heavy]


def test_the_stream_function_does_not_load_git() -> None:
    assert "dulwich" not in packages("stream_launch")


def test_every_function_has_a_budget() -> None:
    assert BUDGETS.keys() == set(FUNCTIONS) >= set(HOT)
