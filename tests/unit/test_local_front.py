"""The requests that the local front admits, by the host name that they use."""

import asyncio
from pathlib import Path

import httpx
import pytest

from bindery.setting_warnings import open_to_other_names
from bindery_local.http_server import Front, name_of, public_name
from bindery_local.template import System, read
from tests.fakes.ports import settings_of

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
ON_A_CLUSTER: dict[str, object] = {"launcher": "kubernetes", "builder": "container", "registry": "https://r.example"}
PRIVATE: dict[str, object] = {"github_token": "t", "private_repositories": "gh/o/r"}
PRIVATE_HOST: dict[str, object] = {"allowed_private_hosts": "forge.internal"}


@pytest.fixture(scope="module")
def system() -> System:
    return read(TEMPLATE)


def status_of(front: Front, host: str) -> int:
    async def status() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://here") as client:
            return (await client.get("/nowhere", headers={"Host": host})).status_code

    return asyncio.run(status())


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
def test_with_a_public_name_other_host_names_are_refused(system: System, host: str, status: int) -> None:
    assert status_of(Front(system, only_loopback=False, public_name="bindery.example"), host) == status


@pytest.mark.parametrize(
    ("settings", "compared"),
    [
        ({**ON_A_CLUSTER}, None),
        ({**ON_A_CLUSTER, "public_url": "https://bindery.example"}, None),
        ({**ON_A_CLUSTER, **PRIVATE}, ""),
        ({**ON_A_CLUSTER, **PRIVATE, "public_url": "https://Bindery.example:8585/b"}, "bindery.example"),
        ({**ON_A_CLUSTER, **PRIVATE_HOST}, None),
        ({**ON_A_CLUSTER, **PRIVATE_HOST, "public_url": "https://Bindery.example:8585/b"}, "bindery.example"),
        ({**PRIVATE_HOST, "public_url": "https://bindery.example"}, None),
    ],
)
def test_the_host_name_is_checked_if_non_public_repositories_can_be_fetched(
    settings: dict[str, object], compared: str | None
) -> None:
    assert public_name(settings_of(**settings)) == compared


def test_the_start_warns_about_private_hosts_that_are_open_to_every_name() -> None:
    assert "BINDERY_PUBLIC_URL" in open_to_other_names(settings_of(**ON_A_CLUSTER, **PRIVATE_HOST))
    for settings in (
        ON_A_CLUSTER,
        PRIVATE_HOST,
        {**ON_A_CLUSTER, **PRIVATE_HOST, **PRIVATE},
        {**ON_A_CLUSTER, **PRIVATE_HOST, "public_url": "https://bindery.example"},
        {**ON_A_CLUSTER, **PRIVATE_HOST, "queues": "sqs"},
    ):
        assert open_to_other_names(settings_of(**settings)) == ""


def test_without_private_repositories_every_host_name_is_answered(system: System) -> None:
    assert status_of(Front(system, only_loopback=False), "any.example") == 404


def test_a_host_name_is_compared_without_its_port() -> None:
    assert (name_of("A.example:443"), name_of("[::1]:80"), name_of("")) == ("a.example", "[::1]", "")
