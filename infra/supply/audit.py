"""`make audit`: reports known vulnerabilities of the locked packages in one line. It never fails, and ends within seconds."""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
DATABASE = "https://api.osv.dev"
REACH_SECONDS, AUDIT_SECONDS = 3, 20


def report(uv: str, pip_audit: str, database: str = DATABASE) -> str:
    """Return the line. uv, pip_audit: the commands. database: the address of the advisory database; it must answer first."""
    if (trouble := _unreachable(database)) or not Path(pip_audit).exists():
        return f"pip-audit: skipped: {trouble or f'{pip_audit} is not there'}"
    try:
        return summary(_audited(uv, pip_audit))
    except subprocess.TimeoutExpired:
        return f"pip-audit: skipped: no answer within {AUDIT_SECONDS} seconds"
    except (subprocess.CalledProcessError, OSError, ValueError, KeyError) as error:
        return f"pip-audit: skipped: {type(error).__name__}: {_last_line(error)}"


def summary(output: str) -> str:
    """Return the result in pip-audit's JSON output, in one line. Raises ValueError, KeyError for other input."""
    packages = json.loads(output)["dependencies"]
    vulnerabilities = sorted(
        f"{package['name']} {package['version']} {each['id']}"
        for package in packages
        for each in package.get("vulns", ())
    )
    count = f"{len(vulnerabilities)} known vulnerabilities in {len(packages)} locked packages"
    return f"pip-audit: {count}" + (f": {', '.join(vulnerabilities)}" if vulnerabilities else "")


def _unreachable(database: str) -> str:
    """Return the reason why the advisory database cannot be reached; empty if it answers, with any status."""
    try:
        httpx.get(database, timeout=REACH_SECONDS)
    except httpx.HTTPError as error:
        return f"the advisory database {database} is out of reach ({error})"
    return ""


def _audited(uv: str, pip_audit: str) -> str:
    """Return pip-audit's JSON for the lock file. Exit status 1 means that it has found vulnerabilities."""
    export = [uv, "export", "--frozen", "--quiet", "--no-emit-project", "--all-groups"]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True, timeout=AUDIT_SECONDS).stdout
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(locked)
        file.flush()
        command: Sequence[str] = (pip_audit, "-r", file.name, "--disable-pip", "--vulnerability-service", "osv")
        quiet = ("--format", "json", "--progress-spinner", "off")
        ran = subprocess.run([*command, *quiet], check=False, capture_output=True, timeout=AUDIT_SECONDS)
    if ran.returncode not in (0, 1) or not ran.stdout:
        raise subprocess.CalledProcessError(ran.returncode, command, stderr=ran.stderr)
    return ran.stdout.decode()


def _last_line(error: Exception) -> str:
    words = getattr(error, "stderr", None) or str(error).encode()
    return (words.decode(errors="replace").strip().splitlines() or [""])[-1][:200]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m infra.supply.audit", description=__doc__)
    parser.add_argument("--uv", default="uv", help="the command")
    parser.add_argument("--pip-audit", default="pip-audit", help="the command")
    arguments = parser.parse_args()
    print(report(arguments.uv, arguments.pip_audit))


if __name__ == "__main__":
    main()
