"""Tests of the built packages on an emulator of AWS, deployed as an operator deploys them. They lead from a link to a
running cell, and to its end.

Real here: `make build`; `sam deploy` with AWS's own SAM transform; every function from its zip file and layer, in
Lambda's own Python, called by REST routes, queues, a log subscription, schedules and dead-letter queues; roles and
policies, which are enforced; sessions, which are Pods of a cluster. Not real here, with the replacement for each:

- The emulator's REST API does not stream and does not call `stream_launch`. The function runs out of its package and
  layer, with its own environment and role. It is behind the real Web Adapter, built from its crate, as the published
  layer cannot be had here. A Runtime API of the tests hands requests over and passes responses on in the API's place.
- `%2F` in a path is decoded before the function sees it, so links are `gh` links.
- Methods that the template calls ANY are not read from the API's description: the test adds that of `/api`.
- A parameter's number stays a text where the template uses it for a queue: the test sets it again as a number.
- A batch of messages has an action of its own, where AWS takes `sqs:SendMessage` for it: the test allows both.
- A response without a body (a redirect) is not passed on.
- A log subscription's filter on JSON is not understood: the test takes it away, so all lines pass.
- CodeBuild runs no builds without Docker, and only CodeBuild may send its events. The test is the build machine and
  ECR, both without policies. It brings each event to the target of the rule that fits it. ECR's images are in the
  cluster's own registry. The functions get its address as a variable, like all settings without a parameter.
- A function that crashes or fails a message lets it wait for its visibility timeout, as on AWS: the test shortens
  that, and gives up earlier.
- Conditions on the table's keys (`dynamodb:LeadingKeys`) are not understood: the test's gate keeps them.
- Alarms on sums of several metrics are not understood: they are left out.
- Reserved concurrency, memory limits and the time limit of a function that hangs are not tried.
- Point-in-time recovery, alarms and encryption are not tried, either: the emulator accepts them without effect.
- AWS's own checks of a template beyond its form (limits, names that are taken, regions) are missing.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from bindery.adapters.clock import SystemClock
from tests.cluster.layers import push
from tests.cluster.shared_image import shared
from tests.cluster.shipped import Shipped
from tests.infra.deployed.rights import FUNCTIONS
from tests.serving.aws import config, session
from tests.serving.aws_gate import AwsGate
from tests.serving.codebuild import CodeBuild, state_changed, variables
from tests.serving.deployed import Deployed, Streaming, deploy
from tests.serving.git_http import GitServer, git, make_repository
from tests.serving.github_app import APP, INSTALLATION, PEM, AppServer
from tests.serving.kernel import Session
from tests.serving.kubeconfigs import inlined
from tests.serving.messages import check_readable
from tests.serving.ministack import Ministack
from tests.serving.names import localhost_names, session_of
from tests.serving.runtime import until

__all__ = ["localhost_names"]
pytestmark = pytest.mark.usefixtures("localhost_names")
NAME = "somebody/something"
LINK = f"gh/{NAME}/HEAD"
PAGE_DATA = re.compile(r'<script type="application/json" id="page-data">(.*?)</script>', re.DOTALL)
SCHEDULE_SECONDS = 60
GITLAB_TOKEN = "glpat-of-the-tests"
CLICK = ("StreamLaunch", "ResolveRepository", "StartSession")
CHARGED_MORE = ("dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:TransactWriteItems", "sqs:SendMessage")
# The writes and messages of a launch whose image is there; it also reads, and the stream looks for news.
CACHED_LAUNCH = {
    ("StreamLaunch", "dynamodb:PutItem"): 3,  # two of these for its client's share
    ("StreamLaunch", "sqs:SendMessage"): 1,
    ("ResolveRepository", "dynamodb:PutItem"): 2,  # one that it has begun
    ("ResolveRepository", "sqs:SendMessage"): 1,
    ("StartSession", "dynamodb:PutItem"): 2,
    ("StartSession", "dynamodb:TransactWriteItems"): 2,
}


@pytest.fixture(scope="module")
def git_server(shipped: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """Provide a git server that Pods also reach. A session fetches the files that its image does not carry."""
    with GitServer(tmp_path_factory.mktemp("git"), shipped.cluster.host_address) as server:
        yield server


@pytest.fixture(scope="module")
def github(git_server: GitServer) -> Iterator[AppServer]:
    repositories = {}
    for name in (NAME, "somebody/other"):
        folder = git_server.root / f"{name}.git"
        folder.parent.mkdir(exist_ok=True)
        make_repository(folder, {"hello.txt": f"hello from {name}\n"})
        (git_server.root / name).symlink_to(folder)
        repositories[name] = folder
    with AppServer(SystemClock(), repositories) as server:
        yield server


@pytest.fixture(scope="module")
def codebuild() -> CodeBuild:
    return CodeBuild()


@pytest.fixture(scope="module")
def settings(shipped: Shipped, github: AppServer, git_server: GitServer) -> dict[str, str]:
    of_the_cluster = ("sessions_url", "registry", "memory_guarantee", "storage_guarantee")
    return {
        **{name: shipped.settings[name] for name in of_the_cluster},
        "kubeconfig_secret": "bindery/cluster",
        "public_url": "https://bindery.example",
        "idle_seconds": "10",
        "cull_seconds": "5",
        "github_url": f"http://{git_server.address}",
        "github_api_url": github.url,
        "github_app_id": APP,
        "github_app_installation": INSTALLATION,
        "github_app_key_secret": "bindery/github-app",
        "gitlab_token_secret": "bindery/gitlab",
        "allowed_private_hosts": f"{github.address},{git_server.address}",
    }


@pytest.fixture(scope="module")
def deployed(
    printed: str,
    shipped: Shipped,
    settings: dict[str, str],
    codebuild: CodeBuild,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    with ExitStack() as stack:
        emulator = Ministack(tmp_path_factory.mktemp("aws"))
        gate = stack.enter_context(AwsGate(emulator.port, codebuild))
        stack.callback(shipped.remove_sessions)
        stack.enter_context(emulator.running({"AWS_ENDPOINT_URL": gate.url}))
        values = {
            "kubeconfig_secret": inlined(shipped.kubeconfig),
            "github_app_key_secret": PEM,
            "gitlab_token_secret": GITLAB_TOKEN,
        }
        for parameter, text in values.items():
            emulator.client("secretsmanager").create_secret(Name=settings[parameter], SecretString=text)
        yield deploy(emulator, gate, settings)


@pytest.fixture(scope="module")
def streaming(deployed: Deployed, python: Path, adapter: Path) -> Iterator[Streaming]:
    with deployed.streaming(python, adapter) as running:
        yield running


def page(deployed: Deployed, link: str = LINK) -> dict[str, str]:
    """Return the settings that a launch page hands to its script."""
    answer = deployed.ask(f"/v2/{link}")
    assert answer.status_code == 200, answer.text
    data = PAGE_DATA.search(answer.text)
    assert data, answer.text
    settings: dict[str, str] = json.loads(unescape(data[1]))
    return settings


@pytest.fixture(scope="module")
def image(
    deployed: Deployed,
    streaming: Streaming,
    codebuild: CodeBuild,
    shipped: Shipped,
    git_server: GitServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Provide the image of the link's environment. The first launch has had it built."""
    clone = tmp_path_factory.mktemp("clone") / "clone"
    git("clone", "--quiet", git_server.url(NAME), clone)
    ref = git("-C", clone, "rev-parse", "HEAD").decode().strip()
    image = push(shipped.cluster.registry, "bindery/sessions", shared(clone, ref, {}))
    settings = page(deployed)
    stream = streaming.stream(settings["build"], settings["token"])
    build = codebuild.wait(1)
    passed = variables(build)
    line = {"number": 0, "phase": "building", "message": "Step 1: as CodeBuild would write it\n"}
    assert ":layer:" in passed["BINDERY_LAYER"]
    attempt = {"environment": passed["BINDERY_ENVIRONMENT"], "attempt": int(passed["BINDERY_ATTEMPT"])}
    deployed.log("BuildLogs", json.dumps({**attempt, "lines": [line]}))
    assert stream.wait_for("building").message == line["message"]
    codebuild.finish(build, image)
    deployed.happened("aws.codebuild", "CodeBuild Build State Change", state_changed(build))
    stream.finish()
    assert stream.phases == ["waiting", "building", "built", "launching", "ready"], stream.text
    assert stream.last.data["image"] == image
    return image


def test_a_link_becomes_an_image_and_a_running_cell(
    deployed: Deployed, streaming: Streaming, image: str, codebuild: CodeBuild
) -> None:
    settings = page(deployed)
    before = deployed.aws_calls()
    stream = streaming.stream(settings["build"], settings["token"]).finish()
    calls = deployed.aws_calls() - before
    assert stream.phases == ["built", "launching", "ready"], stream.text
    session = Session.of(stream.last.data)
    assert session.run("import os; print(6 * 7, os.environ['BINDER_REQUEST'])") == f"42 v2/{LINK}\n"
    assert len(codebuild.builds) == 1
    writes = {each: count for each, count in calls.items() if each[0] in CLICK and each[1] in CHARGED_MORE}
    assert writes == CACHED_LAUNCH


def test_a_launch_by_the_api_ends_on_request(deployed: Deployed, image: str, shipped: Shipped) -> None:
    response = deployed.ask("/api/launches", "POST", json={"provider": "gh", "spec": f"{NAME}/HEAD"})
    assert response.status_code == 201, response.text
    launch, permit = response.json()["id"], {"Authorization": f"Bearer {response.json()['launcher_token']}"}
    address = f"/api/launches/{launch}"
    until(lambda: deployed.ask(address, headers=permit).json()["phase"] == "ready", 60)
    session = session_of(deployed.ask(address, headers=permit).json())
    assert shipped.objects(session)
    assert deployed.ask(address).status_code == 404
    assert deployed.ask(address, "DELETE", headers=permit).status_code == 202
    until(lambda: not shipped.objects(session), 60)


def test_an_invalid_message_ends_its_launch_with_a_readable_message(
    deployed: Deployed, streaming: Streaming, image: str, codebuild: CodeBuild
) -> None:
    deployed.set_patience("ResolveQueue", 1, 2)
    settings = page(deployed, "gh/somebody/other/HEAD")
    stream = streaming.stream(settings["build"], settings["token"])
    launch = stream.wait_for("waiting").id.partition(":")[0]
    deployed.put("ResolveQueue", {"launch": launch, "step": "not a number", "version": 99})
    stream.finish()
    assert stream.last.phase == "failed"
    check_readable(stream.last.message)
    until(lambda: not any(map(deployed.waiting, ("ResolveQueue", "DeadLetters", "Unburied"))))
    deployed.set_patience("ResolveQueue", 60, 20)  # the other tests do not treat a slow step as a failure


def test_credentials_for_hosts_are_known_only_to_the_function_that_uses_them(
    deployed: Deployed, image: str, github: AppServer
) -> None:
    """A key of many lines works, too. GitHub accepted the signature that the App made with it, and received no other
    credential.
    """
    assert github.permits
    assert {each.headers.get("authorization") for each in github.requests if "/repos/" in each.path} <= {
        f"Bearer {token}" for token in github.tokens
    }
    asking = deployed.variables("ResolveRepository")
    assert asking.pop("BINDERY_GITLAB_TOKEN") == GITLAB_TOKEN
    assert asking.pop("BINDERY_GITHUB_APP_KEY") == PEM
    everywhere = str([asking, *(deployed.variables(name) for name in FUNCTIONS if name != "ResolveRepository")])
    assert GITLAB_TOKEN not in everywhere
    assert "PRIVATE KEY" not in everywhere


def test_the_role_of_a_function_permits_nothing_else(deployed: Deployed) -> None:
    """The policies are in force, so the success of the other tests shows that the policies suffice."""
    sqs = session(*deployed.keys("ServePages").values()).client(
        "sqs", endpoint_url=deployed.emulator.address, config=config()
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=deployed.resources["StopsQueue"], MessageBody="{}")


@pytest.mark.parametrize(
    ("function", "allowed", "refused"),
    [
        ("ServePages", "client#x", "launch#x"),
        ("StreamLaunch", "launch#x", "session#x"),
        ("AnswerApi", "launch#x", "environment#x"),
        ("RecordLog", "build#x", "environment#x"),
    ],
)
def test_a_public_function_writes_only_its_own_kinds_of_items(
    deployed: Deployed, function: str, allowed: str, refused: str
) -> None:
    """The gate restricts the roles to these kinds, so the success of the other tests shows that the kinds suffice."""
    keys = deployed.keys(function).values()
    table = session(*keys).client("dynamodb", endpoint_url=deployed.gate.url, config=config())

    def put(key: str) -> None:
        item = {"pk": {"S": key}, "sk": {"S": "of-a-test"}}
        table.put_item(TableName=deployed.resources["Table"], Item=item)

    put(allowed)
    with pytest.raises(ClientError, match="AccessDenied"):
        put(refused)


def test_the_schedule_ends_an_idle_session(
    deployed: Deployed, streaming: Streaming, image: str, shipped: Shipped
) -> None:
    settings = page(deployed)
    stream = streaming.stream(settings["build"], settings["token"]).finish()
    session = session_of(stream.last.data)
    assert shipped.objects(session)
    until(lambda: not shipped.objects(session), 2 * SCHEDULE_SECONDS + 30)
    again = streaming.stream(settings["build"], settings["token"]).finish()
    assert again.last.phase == "failed"
    check_readable(again.last.message)
