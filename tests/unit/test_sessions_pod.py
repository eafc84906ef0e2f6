"""The Kubernetes objects of a session: the fields that they have, and the values that they never contain."""

import json
from typing import Any

import pytest

from bindery.adapters.kubernetes.manifests import MARKED, REPO2DOCKER, Making, pod, route, run_name, secret, service
from bindery.domain.environment import Scope
from bindery.domain.resources import Resources
from tests.serving.lab import REF, TOKEN, order_of

OWNER = {"metadata": {"name": "session-one", "uid": "u-1"}}
MAKING = Making("sessions", "sessions.example", Resources())


def pod_of(**changes: object) -> dict[str, Any]:
    order = order_of("one", BINDER_REQUEST="v2/gh/o/r/HEAD").model_copy(update=changes)
    return pod(order, "abcd", OWNER, MAKING)


def container(**changes: object) -> dict[str, Any]:
    (only,) = pod_of(**changes)["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_the_token_is_in_the_secret_only() -> None:
    order = order_of("one")
    assert secret(order, "abcd", OWNER)["stringData"] == {"token": TOKEN}
    others = [service(order, "abcd"), pod(order, "abcd", OWNER, MAKING), route(order, "abcd", OWNER, MAKING)]
    assert TOKEN not in json.dumps(others)


def test_the_server_gets_the_token_from_the_secret() -> None:
    (variable,) = [each for each in container()["env"] if each["name"] == "JUPYTER_TOKEN"]
    assert variable["valueFrom"] == {"secretKeyRef": {"name": run_name("one", "abcd"), "key": "token"}}


def test_the_service_owns_all_other_objects() -> None:
    order = order_of("one")
    for body in (secret(order, "r", OWNER), pod(order, "r", OWNER, MAKING), route(order, "r", OWNER, MAKING)):
        (owner,) = body["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Service", "session-one", "u-1")


def test_a_new_start_does_not_select_pods_of_an_old_one() -> None:
    labels = pod_of()["metadata"]["labels"]
    selector = service(order_of("one"), "abcd")["spec"]["selector"]
    assert selector.items() <= labels.items()
    assert not service(order_of("one"), "efgh")["spec"]["selector"].items() <= labels.items()


def test_the_selector_for_sessions_uses_all_labels_of_the_mark() -> None:
    labels = pod_of()["metadata"]["labels"]
    for selector in MARKED.split(","):
        name, _, value = selector.partition("=")
        assert labels[name] == value or not value
    assert {each.partition("=")[0] for each in MARKED.split(",")} == labels.keys()


def test_a_session_has_its_own_host_name() -> None:
    assert route(order_of("one"), "r", OWNER, MAKING)["spec"]["hostnames"] == ["one.sessions.example"]


def test_variables_are_passed_unchanged() -> None:
    hostile = "$(JUPYTER_TOKEN) $$ `x`"
    variables = {each["name"]: each.get("value") for each in container(variables={"BINDER_REQUEST": hostile})["env"]}
    assert variables["BINDER_REQUEST"] == "$$(JUPYTER_TOKEN) $$$$ `x`"


def test_a_shared_image_runs_the_checkout_before_its_entry_point() -> None:
    body = container(scope=Scope.FILES)
    assert body["command"][:2] == ["/bin/sh", "-c"]
    assert body["command"][3:] == ["checkout", REF, "https://example.org/x", "HEAD"]
    assert body["args"][:3] == [REPO2DOCKER, "sh", "-c"]


@pytest.mark.parametrize("scope", [Scope.TREE, Scope.COMMIT])
def test_an_image_of_its_own_commit_runs_its_own_entry_point(scope: Scope) -> None:
    body = container(scope=scope)
    assert "command" not in body
    assert body["args"][3] == "serve"


def test_configured_resources_are_in_the_pod() -> None:
    resources = Resources.model_validate(
        {
            "memory_guarantee": "2G",
            "memory_limit": "4G",
            "gpus": 2,
            "node_selector": {"pool": "users"},
            "tolerations": [{"key": "users", "operator": "Exists"}],
            "runtime_class": "gvisor",
            "user_namespaces": True,
            "session_environment": {"DATA": "/data"},
        }
    )
    spec = pod(order_of("one"), "r", OWNER, Making("g", "d", resources))["spec"]
    resources = spec["containers"][0]["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("2G", "4G")
    assert resources["limits"]["nvidia.com/gpu"] == "2"
    assert spec["nodeSelector"] == {"pool": "users"}
    assert (spec["runtimeClassName"], spec["hostUsers"]) == ("gvisor", False)
    assert not {"runtimeClassName", "hostUsers"} & pod_of()["spec"].keys(), "the cluster's own, unless it is set"
    assert spec["tolerations"][0] == {"key": "users", "operator": "Exists"}
    assert {"name": "DATA", "value": "/data"} in spec["containers"][0]["env"]
