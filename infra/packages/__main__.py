"""`python -m infra.packages`: builds the deployment packages in `.aws-sam/build` and prints their sizes."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bindery_local.template import Resource, load
from infra.packages import library
from infra.packages.byte_code import NoRuntimePythonError, compile_folder, runtime_python
from infra.packages.locked import PLATFORMS, ROOT
from infra.packages.sizes import size_of, table

BUILT = ROOT / ".aws-sam" / "build"
KINDS = ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion")


def build(sam: str, architecture: str) -> str:
    """Build all packages; return their sizes. sam: the command. architecture: a key of PLATFORMS.

    Raises NoRuntimePythonError, CalledProcessError.
    """
    python = runtime_python()
    quiet = {
        "SAM_CLI_TELEMETRY": "0",
        "ARCHITECTURE": architecture,  # for the Makefile, which sam runs for each layer
        "MAKEFLAGS": "--no-print-directory",
        "__SAM_CLI_APP_DIR": str(ROOT / ".cache" / "sam" / "app"),
    }
    path = os.pathsep.join((str(python.parent), os.environ.get("PATH", os.defpath)))
    command = [sam, "build", "--template-file", "template.yaml", "--build-dir", str(BUILT)]
    command += ["--parameter-overrides", f"Architecture={architecture}"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **quiet, "PATH": path}, check=True, stdout=subprocess.PIPE)
    resources = load(ROOT / "template.yaml")["Resources"]
    names = [name for name, resource in resources.items() if resource["Type"] in KINDS]
    for name in names:
        if resources[name]["Type"] == KINDS[0]:
            compile_folder(BUILT / name, "/var/task")
    return table({_display_name(name, resources[name]): size_of(BUILT / name) for name in names})


def _display_name(name: str, resource: Resource) -> str:
    """Return the package's name for the list: for a function, the name of its folder."""
    return Path(resource["Properties"].get("CodeUri", name.lower())).name


def main() -> str | None:
    """Run the command. Return an error message, or None."""
    parser = argparse.ArgumentParser(prog="python -m infra.packages", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    every = commands.add_parser("build", help="build all packages with sam")
    every.add_argument("--sam", default="sam", help="the command")
    every.add_argument("--architecture", choices=PLATFORMS, default="x86_64", help="the architecture of the functions")
    layer = commands.add_parser("library", help="make the library's layer in a folder; sam runs it through make")
    layer.add_argument("folder", type=Path)
    layer.add_argument("--uv", default="uv", help="the command")
    layer.add_argument("--architecture", choices=PLATFORMS, default="x86_64", help="the architecture of the functions")
    commands.add_parser("python", help="print the path of Lambda's Python on this machine")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "library":
                library.make(arguments.folder, arguments.uv, arguments.architecture)
            case "python":
                print(runtime_python())
            case _:
                print(build(arguments.sam, arguments.architecture))
    except NoRuntimePythonError as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        return f"{Path(error.cmd[0]).name} failed"
    return None


if __name__ == "__main__":
    sys.exit(main())
