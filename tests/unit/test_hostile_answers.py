"""The answers of hosts that any visitor may name: no answer crashes a step or uses up the process's memory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bindery.adapters.clock import SystemClock
from bindery.adapters.hosts.records.ckan import CkanProvider
from bindery.adapters.http.client import FEW_VALUES, GuardedClient
from bindery.domain.errors import BinderyError, HostUnreachable
from tests.fakes.table import DictTable
from tests.serving.scripted import ScriptedServer, answer

ROOT = Path(__file__).parents[2]
MEMORY_BYTES = 400_000_000
READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
from bindery.adapters.hosts.records.ckan import _Answer
from bindery.adapters.http.client import FEW_VALUES, read_json
from bindery.domain.errors import HostUnreachable
try:
    read_json(_Answer, sys.stdin.buffer.read(), "ckan.example", FEW_VALUES)
except HostUnreachable as error:
    print(error.facts["why"])
"""


def read_in_bounded_memory(body: bytes) -> str:
    code = READ.format(memory=MEMORY_BYTES)
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, input=body, capture_output=True, cwd=ROOT / "layers" / "bindery", timeout=120)
    return ended.stdout.decode().strip() or f"exit code {ended.returncode}: {ended.stderr.decode()[-200:]}"


@pytest.mark.parametrize("item", ["{}", "1", '{"id":"a"}', "[]"])
@pytest.mark.parametrize("megabytes", [2, 8])
def test_a_list_of_many_small_values_is_refused_in_bounded_memory(item: str, megabytes: int) -> None:
    items = ",".join([item] * (megabytes * 1_000_000 // (len(item) + 1)))
    body = f'{{"result":{{"name":"a","metadata_modified":"2020-01-01","resources":[{items}]}}}}'
    assert read_in_bounded_memory(body.encode()) == "its answer holds more than can be read"


def test_the_largest_accepted_answer_is_read_in_bounded_memory() -> None:
    items = ",".join(["{}"] * (FEW_VALUES // 2 - 10))
    body = f'{{"result":{{"name":"a","metadata_modified":"2020-01-01","resources":[{items}]}}}}'
    assert read_in_bounded_memory(body.encode()) == "its answer cannot be read"


@pytest.fixture
def reply() -> Iterator[list[bytes]]:
    """Yield the list of bytes that the host sends as its whole answer to each request."""
    yield []


@pytest.fixture
def host(reply: list[bytes]) -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda head: reply) as server:
        yield server


@pytest.fixture
def ckan(host: ScriptedServer) -> Iterator[CkanProvider]:
    client = GuardedClient([host.address])
    yield CkanProvider(client, DictTable(), SystemClock())
    client.close()


def package(resource: dict[str, object]) -> bytes:
    facts = {"name": "a", "metadata_modified": "2020-01-01T00:00:00", "resources": [{"id": "r", **resource}]}
    return answer(json.dumps({"result": facts}).encode(), "application/json")


@pytest.mark.parametrize(
    "resource",
    [
        {"url": "http://[x"},
        {"url": "http://[::1/a.csv"},
        {"url": "http://a/b", "url_type": "upload", "size": "9" * 5000, "hash": "f" * 40},
        {"url": "http://a/b", "url_type": "upload", "size": -1, "hash": "\ud800"},
    ],
)
def test_a_record_with_invalid_values_is_read_or_refused(
    reply: list[bytes], host: ScriptedServer, ckan: CkanProvider, resource: dict[str, object]
) -> None:
    reply.append(package(resource))
    try:
        repository = ckan.resolve(quote(f"{host.url}/dataset/a", safe="")).repository
        assert len(ckan.files(repository).files) == 1
    except HostUnreachable as error:
        assert error.facts["why"] == "its answer cannot be read"


@pytest.mark.parametrize(
    "header",
    [
        *("Location: http://[x", "Location: http://[::1/", "Location: //[", "Location: http://a:99999999999/"),
        *("Location: \x01", "Location: http://" + "a." * 3000, "Location: ", "Retry-After: " + "9" * 60_000),
        *("Retry-After: Mon, 99 Xxx 99999999999 99:99:99 +9999999", "X-RateLimit-Reset: 9e999", "Content-Type: "),
    ],
)
@pytest.mark.parametrize("status", ["301 Moved", "308 Moved", "429 Slow", "403 No", "503 Later", "200 OK", "999 ?"])
def test_invalid_headers_are_errors_of_the_host(
    reply: list[bytes], host: ScriptedServer, ckan: CkanProvider, header: str, status: str
) -> None:
    reply.append(answer(b"{}", "application/json", status, header))
    with pytest.raises(BinderyError):
        ckan.resolve(quote(f"{host.url}/dataset/a", safe=""))
