"""Starts of functions, each in a fresh process as if it were deployed: with the variables that a stack gives, and no network."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "tests" / "performance" / "init.py"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
QUEUES = ("resolve", "builds", "sessions", "stops")
SURROUNDINGS = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "BINDERY_TABLE": "bindery",
    "BINDERY_QUEUES": "sqs",
    "BINDERY_QUEUE_URLS": json.dumps({name: f"https://sqs.test/{name}" for name in QUEUES}),
    "BINDERY_SECRET": "a secret of the tests, 32 characters or more",
    "BINDERY_BUILDER": "codebuild",
    "BINDERY_CODEBUILD_PROJECT": "bindery",
    "BINDERY_REGISTRY": "https://registry.test/bindery",
    "BINDERY_LAUNCHER": "kubernetes",
    "BINDERY_EKS_CLUSTER": "sessions",
    "POWERTOOLS_SERVICE_NAME": "bindery",
}


@dataclass(frozen=True)
class Init:
    """The measurements of a start. seconds: until the first message could be taken.

    processor: seconds of processor time. modules: all modules that are loaded then.
    """

    seconds: float
    processor: float
    modules: frozenset[str]

    @property
    def installed(self) -> frozenset[str]:
        """Return the loaded modules without Python's own, which differ from version to version."""
        return frozenset(name for name in self.modules if name.partition(".")[0] not in sys.stdlib_module_names)


def init(name: str, python: str | Path, functions: Path = ROOT / "functions", **variables: str) -> Init:
    """Measure the start of a function, or of `bare`. Raise CalledProcessError.

    python: an interpreter that has the package and its dependencies.
    """
    payload = json.loads(_run([python, PROBE, functions, name], variables).stdout)
    return Init(payload["seconds"], payload["processor"], frozenset(payload["modules"]))


def imports(name: str, python: str | Path, functions: Path) -> dict[str, float]:
    """Return the import time of each package's own modules in milliseconds.

    Python itself measures it, and the measurement takes time, too.
    """
    output = _run([python, "-X", "importtime", PROBE, functions, name], {}).stderr
    own: dict[str, float] = {}
    for microseconds, module in re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", output, re.MULTILINE):
        parts = module.split(".")
        package = ".".join(parts[:2]) if parts[0] in ("bindery", "botocore", "aws_lambda_powertools") else parts[0]
        own[package] = own.get(package, 0) + int(microseconds) / 1000
    return own


def _run(command: list[str | Path], variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    environment = {**inherited, **SURROUNDINGS, **variables}
    return subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True, text=True)
