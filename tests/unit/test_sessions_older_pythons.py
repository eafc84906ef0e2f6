"""The code that runs in a session's own Python, which may be older than the product's."""

import subprocess
from pathlib import Path

import pytest

from bindery.adapters.jupyter import start_lab
from bindery_builder.environments.uv_command import UvCommand
from tests.serving.uv import UV

TOLD = """
import os, signal
starter['defer_grammar']()
orders, seen = starter['note_orders'](), []
signal.signal(signal.SIGTERM, lambda *given: seen.append(given[0]))
os.kill(os.getpid(), signal.SIGTERM)
assert orders == seen == [signal.SIGTERM], (orders, seen)
"""


@pytest.mark.parametrize("version", ["3.9", "3.10"])
def test_the_server_starter_runs_on_older_pythons(version: str, tmp_path: Path) -> None:
    python = UvCommand(UV, tmp_path).python(version)
    if python is None:
        pytest.skip(f"only one Python is on this machine that serves: no {version}")
    code = f"import runpy; starter = runpy.run_path({str(start_lab.__file__)!r}, run_name='starter')\n{TOLD}"
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
