"""DynamoDB's own local edition: fetched once through Maven, kept outside the checkout, run in memory on a free port."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.loopback import free_port

POM = Path(__file__).parent / "dynamodb-local" / "pom.xml"
MAIN = "software.amazon.dynamodb.services.local.main.ServerRunner"
JAVA = 17
STARTS_WITHIN = 60.0


def what_is_missing() -> str:
    """Return the parts that this machine lacks to run it, in one line; an empty text if it has them all."""
    java = shutil.which("java")
    if java is None:
        return f"DynamoDB Local needs Java {JAVA}: no java on PATH"
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    version = re.search(r'version "(\d+)', output)
    if version is None or int(version[1]) < JAVA:
        return f"DynamoDB Local needs Java {JAVA}: java is {output.splitlines()[0]}"
    if not _jars().is_dir() and shutil.which("mvn") is None:
        return "DynamoDB Local comes through Maven: no mvn on PATH"
    return ""


@contextmanager
def dynamodb_local(folder: Path) -> Iterator[str]:
    """Run the server and yield its address. folder: for its log."""
    _fetch(_jars())
    process, port = _start(folder)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _jars() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "bindery" / f"dynamodb-local-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def _fetch(jars: Path) -> None:
    if jars.is_dir():
        return
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="fetching-") as name:
        fetched = Path(name) / "jars"
        command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"mvn could not fetch DynamoDB Local: {done.stdout[-2000:]}")
        try:
            fetched.rename(jars)
        except OSError:  # another process was quicker
            if not jars.is_dir():
                raise


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    log = folder / "dynamodb-local.log"
    for _ in range(3):  # the port was free at the check; another process may have it by now
        port = free_port()
        with log.open("wb") as out:
            process = subprocess.Popen(
                _command(port), cwd=folder, env={**os.environ, "DDB_LOCAL_TELEMETRY": "0"}, stdout=out, stderr=out
            )
        if _answers(process, port):
            return process, port
        process.kill()
        process.wait()
    raise RuntimeError(f"DynamoDB Local did not start: {log.read_text()[-2000:]}")


def _command(port: int) -> list[str]:
    jars = _jars()
    java = ["java", "-Xmx256m", "-XX:-UsePerfData", f"-Dsqlite4java.library.path={jars}", "-cp", f"{jars}/*", MAIN]
    return [*java, "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)  # no event tells when it listens
        else:
            return True
    return False
