"""The time of a function until its first message, over a bare function with only boto3 and one client of it. Part of
`make bench`.

It runs on Python 3.13 as Lambda has it, if this machine has one, in an environment as it is deployed: no tools, byte
code ready. The ratio is of processor time: a start is one thread that computes, and other work on the machine would
only blur it.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bindery_builder.environments.uv_command import UvCommand
from tests.performance.ratios import line
from tests.serving.inits import FUNCTIONS, ROOT, Init, imports, init
from tests.serving.uv import UV

RUNS = 12
BARE = "bare"
HOT = ("stream_launch", "resolve_repository", "start_session")
MOST = 20


def deployed(folder: Path) -> tuple[Path, Path]:
    """Return a Python with the layer's packages, and the folder of the functions; both with their byte code."""
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder / "environment")}
    options = ["--frozen", "--quiet", "--no-default-groups", "--no-editable", "--compile-bytecode"]
    options += ["--reinstall-package", "bindery"]  # else a package kept from earlier, of older code, would be measured
    command = [UV, "sync", *options, "--no-python-downloads", "--python", str(python())]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    shutil.copytree(ROOT / "functions", folder / "functions")
    return folder / "environment" / "bin" / "python", folder / "functions"


def python() -> Path:
    """Return a Python of the runtime's own minor version, or the one that runs this code."""
    return UvCommand(UV, Path(tempfile.gettempdir())).python("3.13") or Path(sys.executable)


def measure(interpreter: Path, functions: Path) -> dict[str, list[Init]]:
    """Measure each function in turn, RUNS times. The first round only writes byte code."""
    taken: dict[str, list[Init]] = defaultdict(list)
    for run in range(RUNS + 1):
        for name in (BARE, *FUNCTIONS):
            once = init(name, interpreter, functions)
            if run:
                taken[name].append(once)
    return taken


def main() -> list[str]:
    """Measure for two minutes. Print the parts of the ratios, and return the ratios."""
    with tempfile.TemporaryDirectory(prefix="bindery-starts-") as folder:
        interpreter, functions = deployed(Path(folder))
        version = subprocess.run([interpreter, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"  cold starts on {version}")
        taken = measure(interpreter, functions)
        bare = taken.pop(BARE)
        for name, inits in taken.items():
            waited = [statistics.median(each.seconds for each in measured) for measured in (inits, bare)]
            seconds_text = f"{waited[0]:.2f} s by the clock, beside {waited[1]:.2f} s"
            print(f"  init {name}: {seconds_text}; {len(inits[0].installed)} modules beside Python's own")
        for name in HOT:
            print(_table(name, imports(name, interpreter, functions), imports(BARE, interpreter, functions)))
    used = {name: [each.processor for each in inits] for name, inits in taken.items()}
    beside = [each.processor for each in bare]
    return [line(f"init {name} / bare handler", used[name], beside) for name in (*HOT, *sorted({*used} - {*HOT}))]


def _table(name: str, own: dict[str, float], bare: dict[str, float]) -> str:
    """Return the packages that take longest to import, beside the bare function's."""
    rows = sorted(own, key=lambda package: own[package] - bare.get(package, 0), reverse=True)[:MOST]
    lines = [f"    {package:34} {own[package]:6.1f} ms {bare.get(package, 0):6.1f} ms" for package in rows]
    return "\n".join([f"  imports of {name}, beside the bare one's:", *lines])


if __name__ == "__main__":
    print("\n".join(main()))
