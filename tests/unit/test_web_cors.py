"""The sites with scripts that may read the answers of the API and of the event stream."""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

import httpx
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery_local.aws_events import Context
from tests.fakes.in_memory_system import InMemorySystem
from tests.serving.rest_event import rest_event

BOOK, LAB = "https://book.example", "https://lab.example"


def of_the_api(system: InMemorySystem, origin: str, method: str = "GET") -> Mapping[str, str]:
    headers = {"Origin": origin} if origin else {}
    context = cast("LambdaContext", Context("answer_api"))
    answer = system.bindery.answer_api(rest_event("/api/launches/x", method, headers), context)
    multiple = answer["multiValueHeaders"]
    assert isinstance(multiple, dict)
    return {name.lower(): ", ".join(values) for name, values in multiple.items()}


def of_a_preflight(system: InMemorySystem, origin: str) -> Mapping[str, str]:
    return of_the_api(system, origin, "OPTIONS")


def of_the_stream(system: InMemorySystem, origin: str) -> Mapping[str, str]:
    async def answered() -> httpx.Headers:
        transport = httpx.ASGITransport(system.bindery.stream.app())
        headers = {"Accept": "text/event-stream", **({"Origin": origin} if origin else {})}
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return (await client.get("/build/gh/", headers=headers)).headers

    return asyncio.run(answered())


HeadersOf = Callable[[InMemorySystem, str], Mapping[str, str]]
ANSWERS: list[HeadersOf] = [of_the_api, of_a_preflight, of_the_stream]


@pytest.mark.parametrize("headers_of", ANSWERS)
def test_an_answer_names_the_origin_of_its_request_if_listed(headers_of: HeadersOf) -> None:
    system = InMemorySystem(cors_allow_origin="listed", allowed_origins=f"{BOOK}, {LAB}")
    for origin in (BOOK, LAB):
        headers = headers_of(system, origin)
        assert (headers["access-control-allow-origin"], headers["vary"]) == (origin, "Origin")
    for origin in ("https://evil.example", "http://book.example", f"{BOOK}, {LAB}", "null", ""):
        headers = headers_of(system, origin)
        assert "access-control-allow-origin" not in headers
        assert headers["vary"] == "Origin"


@pytest.mark.parametrize("headers_of", ANSWERS)
def test_an_answer_for_every_site_does_not_vary(headers_of: HeadersOf) -> None:
    headers = headers_of(InMemorySystem(allowed_origins=BOOK), BOOK)
    assert headers["access-control-allow-origin"] == "*"
    assert "vary" not in headers
