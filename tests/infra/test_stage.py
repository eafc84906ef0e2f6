"""Tests of the functions behind API Gateway's own address, where paths begin with a stage."""

import os
import subprocess
import sys
from pathlib import Path

from tests.serving.paths import python_path
from tests.serving.record_hosts import DoiSystem

ROOT = Path(__file__).parents[2]
ASK = """
import json
from bindery import bootstrap
from bindery_local.adapters import LocalAdapters
bootstrap.install(LocalAdapters)
from functions.serve_pages.handler import handler
from bindery_local.aws_events import Context
from tests.serving.rest_event import rest_event
for target in ("/v2/gh/o/r/HEAD", "/repo/o/r", "/v2/doi/10.5281/zenodo.1?urlpath=lab", "/"):
    event = rest_event(target, headers={"Host": "a1b2c3.execute-api.eu-central-1.amazonaws.com"})
    answer = handler(event, Context("serve_pages"))
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    print(json.dumps([answer["statusCode"], headers.get("Location", ""), "/live/assets/" in (answer.get("body") or "")]))
"""


def test_pages_and_redirects_keep_the_stage(tmp_path: Path) -> None:
    environment = {**os.environ, "BINDERY_HOME": str(tmp_path), "BINDERY_SECRET": "s" * 40}
    environment["PYTHONPATH"] = python_path()
    with DoiSystem({"10.5281/zenodo.1": "https://zenodo.org/records/1"}) as dois:
        environment |= {"BINDERY_DOI_URL": dois.url, "BINDERY_ALLOWED_PRIVATE_HOSTS": dois.address}
        ran = subprocess.run(
            [sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
    assert ran.stdout.splitlines() == [
        '[200, "", true]',
        '[302, "/live/v2/gh/o/r/master", false]',
        '[302, "/live/v2/zenodo/10.5281/zenodo.1?urlpath=lab", false]',
        '[200, "", true]',
    ]
