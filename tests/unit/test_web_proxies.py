"""The address of a client behind proxies. Headers are believed from trusted proxies only."""

import asyncio
from typing import Any, cast

import httpx
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.domain.errors import LaunchNotFound
from bindery.domain.launch_request import LaunchRequest, OpenedLaunch
from bindery.domain.tokens import Tokens
from bindery.setting_warnings import blind_to_clients
from bindery.settings import Settings
from bindery.web.cors import Cors
from bindery.web.proxies import Proxies
from bindery.web.senders import sender_of
from bindery.web.stream.app import Stream
from bindery_local.aws_events import Context
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.ports import settings_of
from tests.serving.rest_event import rest_event

TRUSTED = Proxies.of(["127.0.0.1/32", "10.0.0.0/8", "2001:db8:1::/48"])
SECRET = "s" * 40


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # The client invented the left part.
        ("127.0.0.1", "203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7, 10.1.2.3, 10.0.0.1", "203.0.113.7"),
        ("10.9.9.9", "203.0.113.7, 10.9.9.9", "203.0.113.7"),  # API Gateway adds its own peer.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1, 127.0.0.1", "203.0.113.9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7, evil", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("127.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("127.0.0.1", "[2001:db8:2::1]:4711", "2001:db8:2::1"),
        ("127.0.0.1", "2001:db8:2::1, 2001:db8:1::5", "2001:db8:2::1"),
        ("::ffff:127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "203.0.113.7", "unknown"),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_trusted_proxy(peer: str, forwarded_for: str, client: str) -> None:
    assert TRUSTED.client(peer, forwarded_for) == client


def test_a_very_long_header_is_read_up_to_a_number_of_hops() -> None:
    assert TRUSTED.client("127.0.0.1", "203.0.113.7," + "10.0.0.1," * 1000 + "10.0.0.2") == "10.0.0.1"


def test_without_trusted_proxies_headers_are_ignored() -> None:
    assert Proxies().client("127.0.0.1", "203.0.113.7") == "127.0.0.1"
    assert Proxies().scheme("127.0.0.1", "http", "https") == "http"


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("127.0.0.1", "https", "https"),
        ("127.0.0.1", "http, HTTPS", "https"),
        ("127.0.0.1", "javascript", "http"),
        ("127.0.0.1", "", "http"),
        ("203.0.113.9", "https", "http"),
    ],
)
def test_the_scheme_is_accepted_from_trusted_proxies_only(peer: str, proto: str, scheme: str) -> None:
    assert TRUSTED.scheme(peer, "http", proto) == scheme


def event(peer: str, protocol: str, **headers: list[str]) -> dict[str, object]:
    lines = {name.replace("_", "-").title(): values for name, values in headers.items()}
    context = {"identity": {"sourceIp": peer}, "protocol": protocol}
    return {"requestContext": context, "multiValueHeaders": lines, "headers": {k: v[-1] for k, v in lines.items()}}


def test_an_event_of_the_local_front_is_read_with_all_its_header_lines() -> None:
    request = event("127.0.0.1", "http", x_forwarded_for=["198.51.100.1", "203.0.113.7"], x_forwarded_proto=["https"])
    sender = sender_of(request, TRUSTED)
    assert (sender.client, sender.scheme) == ("203.0.113.7", "https")
    blind = sender_of(request, Proxies())
    assert (blind.client, blind.scheme) == ("127.0.0.1", "http")


def test_the_peer_of_an_api_gateway_event_is_the_client_unless_it_is_a_trusted_proxy() -> None:
    request = event("10.1.1.1", "HTTP/1.1", x_forwarded_for=["203.0.113.7, 10.1.1.1"], x_forwarded_proto=["https"])
    assert sender_of(request, Proxies()).client == "10.1.1.1"
    assert sender_of(request, TRUSTED).client == "203.0.113.7"
    assert sender_of(request, Proxies()).scheme == "https"


def asked_of(proxies: Proxies, headers: dict[str, str]) -> LaunchRequest:
    """Return the launch request of a stream's request from loopback with these headers."""
    requests: list[LaunchRequest] = []

    def refuse(request: LaunchRequest) -> OpenedLaunch:
        requests.append(request)
        raise LaunchNotFound

    async def get() -> None:
        app = Stream(refuse, None, Tokens(SECRET), "", Cors(), proxies=proxies).app()  # type: ignore[arg-type]  # no launch is followed
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://front.example") as client:
            await client.get("/build/gh/o/r/HEAD", headers={"accept": "text/event-stream", **headers})

    asyncio.run(get())
    return requests[0]


def test_the_stream_accepts_headers_from_trusted_proxies_only() -> None:
    headers = {"x-forwarded-for": "198.51.100.1, 203.0.113.7", "x-forwarded-proto": "https"}
    trusting, blind = asked_of(TRUSTED, headers), asked_of(Proxies(), headers)
    assert (trusting.client, trusting.own_origin) == ("203.0.113.7", "https://front.example")
    assert (blind.client, blind.own_origin) == ("127.0.0.1", "http://front.example")


def test_a_banned_network_is_refused_behind_a_trusted_proxy() -> None:
    system = InMemorySystem(ban_networks="203.0.113.0/24", trusted_proxies="127.0.0.1")
    context = cast("LambdaContext", Context("serve_pages"))
    request = cast("dict[str, Any]", rest_event("/v2/gh/o/r/HEAD"))
    request["requestContext"]["identity"]["sourceIp"] = "127.0.0.1"
    request["multiValueHeaders"] = {"X-Forwarded-For": ["203.0.113.7"]}
    assert system.bindery.serve_pages(request, context)["statusCode"] == 403
    request["multiValueHeaders"] = {"X-Forwarded-For": ["198.51.100.7"]}
    assert system.bindery.serve_pages(request, context)["statusCode"] == 200


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"launcher": "kubernetes", "builder": "container", "registry": "https://r.example"}, True),
        (
            {
                "launcher": "kubernetes",
                "builder": "container",
                "registry": "https://r.example",
                "trusted_proxies": "127.0.0.1",
            },
            False,
        ),
        ({}, False),
    ],
)
def test_the_start_warns_if_clients_cannot_be_distinguished(settings: dict[str, object], warned: bool) -> None:
    assert bool(blind_to_clients(settings_of(**settings))) == warned


def test_the_warning_names_the_setting_and_the_ineffective_bans() -> None:
    aws = {"launcher": "kubernetes", "builder": "codebuild", "registry": "https://r.example", "queues": "sqs"}
    assert blind_to_clients(settings_of(**aws)) == ""
    warning = blind_to_clients(settings_of(**aws, public_url="https://b.example", ban_networks="203.0.113.0/24"))
    assert "BINDERY_TRUSTED_PROXIES" in warning
    assert "BINDERY_BAN_NETWORKS refuses none" in warning


@pytest.mark.parametrize("networks", ["proxy.example", "0.0.0.0/0", "10.0.0.0/8, ::/0"])
def test_an_invalid_network_or_trust_in_all_networks_is_refused(networks: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        Settings.model_validate({"trusted_proxies": networks})


def test_the_scheme_of_an_api_gateway_event_is_http_or_https() -> None:
    assert sender_of(event("203.0.113.9", "HTTP/1.1", x_forwarded_proto=["javascript"]), TRUSTED).scheme == "http"
