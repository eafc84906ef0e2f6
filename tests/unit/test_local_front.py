"""Which requests the local front lets in by the name that they ask for."""

import asyncio
from pathlib import Path

import httpx
import pytest

from infra.local.front import Front, name_of
from infra.local.template import System, read

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture(scope="module")
def system() -> System:
    return read(TEMPLATE)


def status_of(front: Front, host: str) -> int:
    async def asked() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://here") as client:
            return (await client.get("/nowhere", headers={"Host": host})).status_code

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("bindery.example", 404), ("BINDERY.example:8585", 404), ("localhost:8585", 404), ("127.0.0.1", 404)),
        *(
            ("evil.example", 421),
            ("bindery.example.evil.example", 421),
            ("bindery.example@evil.example", 421),
            ("", 421),
        ),
    ],
)
def test_with_a_public_name_a_name_that_points_here_is_no_way_in(system: System, host: str, status: int) -> None:
    assert status_of(Front(system, only_loopback=False, public_name="bindery.example"), host) == status


def test_without_private_repositories_every_name_is_answered(system: System) -> None:
    assert status_of(Front(system, only_loopback=False), "any.example") == 404


def test_a_name_is_compared_without_its_port() -> None:
    assert (name_of("A.example:443"), name_of("[::1]:80"), name_of("")) == ("a.example", "[::1]", "")
