"""The deployed system on moto: every function with its own variables, the table and the queues of the template."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import httpx
import pytest
from botocore.model import OperationModel
from moto import mock_aws
from starlette.applications import Starlette
from starlette.requests import Request

from bindery import bootstrap
from bindery.adapters.hosts.registry import make_doi_directory
from bindery.adapters.http.client import GuardedClient
from bindery.bootstrap import Adapters, System
from bindery.domain.errors import LauncherDown, UnknownProvider
from bindery.domain.launch import Launch
from bindery.ports.repository_provider import RepositoryProvider
from bindery.settings import Settings
from bindery_local.aws_events import from_build_service, from_log, from_queue, from_request
from bindery_local.memory_queue import Delivery
from bindery_local.template import queue_name
from tests.fakes.clock import FakeClock
from tests.fakes.host import FakeHost
from tests.fakes.queue import FakeQueue
from tests.fakes.sessions import FakeSessions
from tests.infra.deployed.builds import BuildsOnAws, prepare
from tests.infra.deployed.recorded import PHYSICAL, Recorder
from tests.infra.deployed.rights import FUNCTIONS, RESOURCES
from tests.infra.deployed.variables import variables
from tests.serving import aws, template_table
from tests.serving.record_hosts import DoiSystem
from tests.simulation.functions import TEMPLATE as READ
from tests.simulation.functions import Functions, _loaded

PLACES = 6
HOST = f"a1b2c3.execute-api.{aws.REGION}.amazonaws.com"
STAGE = RESOURCES["Api"]["Properties"]["StageName"]
# A part that is no AWS service has a fake in its place.
HERE = {
    "BINDERY_REGISTRY": f"https://123456789012.dkr.ecr.{aws.REGION}.amazonaws.com/{PHYSICAL}-images",
    "BINDERY_STREAM_SECONDS": "0.05",
    "BINDERY_QUOTA_TOTAL": str(PLACES),
    "BINDERY_BUILD_SLOTS": "2",
    "BINDERY_METRICS_NETWORKS": "192.0.2.1/32",
}
ON_EKS = {"BINDERY_EKS_CLUSTER": f"{PHYSICAL}-EksCluster"}
ON_ANOTHER_CLUSTER = {"BINDERY_KUBECONFIG_SECRET": f"{PHYSICAL}-KubeconfigSecret"}
QUEUES = {queue_name(name): name for name, found in RESOURCES.items() if found["Type"] == "AWS::SQS::Queue"}
DEAD, MOST = "DeadLetters", {queue.name: queue.max_receive_count for queue in READ.queues}
CONSUMERS = {name: function.name for name, function in READ.consumers.items()}


@dataclass
class Waiting:
    """A message on its way.

    queue: its name as messages use it.
    """

    queue: str
    body: str
    received: int = 0


class Ports(Adapters):
    """The ports of the deployed system. Those of AWS are as the settings choose them; the others are fakes."""

    def __init__(self) -> None:
        super().__init__(Settings.read())
        self.events = FakeQueue()
        self.time, self.host = FakeClock(), FakeHost()
        self.sessions = FakeSessions(self.time, before=self._enter)
        self.service = BuildsOnAws(self.events, adapters=self)

    def know_dois(self, dois: DoiSystem) -> None:
        """Use only these DOIs from now on."""
        doi_settings = Settings.read({"BINDERY_DOI_URL": dois.url})
        client = GuardedClient([dois.address])
        vars(self)["doi_directory"] = make_doi_directory(doi_settings, client, self.table, self.time, super().provider)

    clock = property(lambda self: self.time)
    launcher = property(lambda self: self.sessions)
    builds = property(lambda self: self.service)

    def providers(self) -> Mapping[str, RepositoryProvider]:
        return {self.host.id: self.host}

    def provider(self, name: str) -> RepositoryProvider:
        if name != self.host.id:
            raise UnknownProvider(provider=name, known=self.host.id)
        return self.host

    def _enter(self, operation: str, _session: str) -> None:
        """Follow the launcher's way into the cluster as far as AWS is concerned. There is no cluster behind it, and
        its result is not used.
        """
        if operation != "activity":  # sent to the sessions themselves
            with suppress(LauncherDown):
                self.cluster_access().entry()


class Deployed:
    """A deployed stack: call, web and stream run a function as AWS would; settle() delivers messages until none are
    left.

    client: the address that requests come from. waiting: messages that were sent and have not arrived.
    system: for a look at the state; no function's calls go through it.
    """

    def __init__(self, recorder: Recorder, variables_of: Callable[[str], Mapping[str, str]]) -> None:
        self.client = "192.0.2.1"
        self.waiting: list[Waiting] = []
        self._recorder = recorder
        self.ports = Ports()
        self.system = System(self.ports, self.ports.settings)
        self._systems = {name: System(self.ports, Settings.read(variables_of(name))) for name in FUNCTIONS}

    def call(self, function: str, event: dict[str, Any]) -> Mapping[str, Any] | None:
        """Return the handler's result, or None if it raised an error of Bindery's own."""
        with self._recorder.acting(function):
            return Functions(self._systems[function]).call(_module(function), event)

    def web(
        self, function: str, method: str, path: str, body: object = None, token: str = "", host: str = HOST
    ) -> Mapping[str, Any]:
        """Return the response to a request, as the API gets it from the function.

        host: the API's own address, or another of its names.
        """
        path, _, query = path.partition("?")
        headers = {
            "host": host,
            "x-forwarded-proto": "https",
            "content-type": "application/json",
            "authorization": f"Bearer {token}",
        }
        raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "raw_path": path.encode(), "query_string": query.encode()}
        request = Request(
            {**scope, "scheme": "https", "headers": raw_headers, "client": (self.client, 1), "path": path}
        )
        event = from_request(request, json.dumps(body).encode() if body else b"")
        event["requestContext"]["path"] = f"/{STAGE}{path}"
        answer = self.call(function, event)
        assert answer is not None
        return answer

    def stream(self, path: str) -> str:
        """Return the whole stream until the launch ends, or until the stream has been open for long."""
        with self._recorder.acting("StreamLaunch"):
            app = _loaded(_module("StreamLaunch"), self._systems["StreamLaunch"]).app()
            return asyncio.run(_streamed(app, path))

    def settle(self) -> None:
        """Deliver messages and the build service's events until all is quiet. A message that is never handled becomes
        a dead letter.
        """
        while self.waiting or self.ports.events.sent:
            if self.ports.events.sent:
                self.deliver_event()
            else:
                self.deliver(self.waiting.pop(0))

    def deliver(self, letter: Waiting) -> None:
        letter.received += 1
        delivery = Delivery("1", letter.queue, letter.body, letter.received, 0, 1)
        answer = self.call(CONSUMERS[letter.queue], from_queue(delivery))
        if answer is None:
            gone = letter.received >= MOST[letter.queue]
            self.waiting.append(Waiting(DEAD, letter.body) if gone else letter)

    def deliver_event(self) -> None:
        """Deliver the first event of the build service."""
        message = self.ports.events.pop()
        delivery = Delivery("1", message.queue, message.model_dump_json(), 1, 0, 1)
        shape = from_log if message.queue == "logs" else from_build_service
        self.call(CONSUMERS[message.queue], shape(delivery))

    def called(self, params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        """Add the messages that a function sends to those on their way."""
        if model.name in ("SendMessage", "SendMessageBatch"):
            name = queue_name(params["QueueUrl"].rpartition("-")[2])
            self.waiting += [Waiting(name, each["MessageBody"]) for each in params.get("Entries", [params])]

    def launch(self, launch: str) -> Launch:
        return self.system.state.launches.get(launch)


async def _streamed(app: Starlette, path: str) -> str:
    """Return the whole stream of the function. As with the Web Adapter, the request uses http and carries API
    Gateway's headers.
    """
    context = {"stage": STAGE, "path": f"/{STAGE}{path}", "identity": {"sourceIp": "192.0.2.1"}}
    from_adapter = {"x-amzn-request-context": json.dumps(context), "x-forwarded-proto": "https"}
    headers = {"accept": "text/event-stream", **from_adapter}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{HOST}") as client:
        return (await client.get(path, headers=headers)).text


@contextmanager
def deployed(recorder: Recorder, cluster: Mapping[str, str] = ON_EKS, **parameters: str) -> Iterator[Deployed]:
    """Provide an empty stack of its own.

    cluster: the settings that name the sessions' cluster. parameters: the template's.
    """

    def variables_of(function: str = "") -> dict[str, str]:
        return {**variables(function, **parameters), **HERE, **cluster}

    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", _session())
        for variable, value in {**variables_of(), "AWS_DEFAULT_REGION": aws.REGION}.items():
            patch.setenv(variable, value)
        template_table.create(_session().client("dynamodb"), f"{PHYSICAL}-Table")
        sqs = _session().client("sqs")
        for name in QUEUES.values():
            sqs.create_queue(QueueName=f"{PHYSICAL}-{name}")
        prepare(_session(), f"{PHYSICAL}-Builds", f"{PHYSICAL}-images/sessions")
        _forget()
        deployment = Deployed(recorder, variables_of)
        with recorder.listening(deployment.called):
            yield deployment
        _forget()


@cache
def _session() -> boto3.Session:
    """Return the session of every stack. The descriptions of AWS's services are read only a single time."""
    return aws.session()


def _module(function: str) -> str:
    return str(FUNCTIONS[function]["Properties"]["CodeUri"]).strip("/").replace("/", ".") + ".handler"


def _forget() -> None:
    """Clear the results that the composition root keeps for its callers."""
    for cached in (bootstrap.settings, bootstrap.ports, bootstrap.system):
        cached.cache_clear()
