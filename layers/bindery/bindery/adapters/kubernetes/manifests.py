"""Manifests of a session's objects: a Service that owns the others, a Secret with the token, the Pod, the route to its host name."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from bindery.adapters.jupyter.server_options import server_options
from bindery.domain.environment import Scope
from bindery.domain.resources import Resources
from bindery.domain.sessions import SessionOrder

Body = dict[str, Any]
PORT = 8888
JUPYTER, HERE = "bindery.adapters.jupyter", "bindery.adapters.kubernetes"
MARK = {"app.kubernetes.io/managed-by": "bindery", "app.kubernetes.io/component": "session"}
ID, RUN = "bindery.session/id", "bindery.session/run"
MARKED = ",".join((*(f"{name}={value}" for name, value in MARK.items()), ID, RUN))
CONTAINER = "session"
REF = "bindery/ref"
LONGEST_ANNOTATION = 1000
NODE_LOST_SECONDS = 60  # maximum time of a session on a node that does not respond
END_SECONDS = 10
REPO2DOCKER = "/usr/local/bin/repo2docker-entrypoint"


def service_name(session: str) -> str:
    """Return the name of a session's Service. It is deterministic, which makes starting idempotent."""
    return f"session-{session}"


def run_name(session: str, run: str) -> str:
    """Return the name of a session's other objects. A new start with the same id does not collide with leftovers of an old one."""
    return f"session-{session}-{run}"


@dataclass(frozen=True)
class Making:
    """Settings of new sessions. gateway: name of the Gateway, in the sessions' namespace. domain: parent domain of the sessions' hosts.

    allowed_origins: other sites that may send requests to a session's server with its token (`*`: all).
    pull_secret: name of the Secret with which nodes pull images; empty: nodes pull without a Secret.
    """

    gateway: str
    domain: str
    resources: Resources
    allowed_origins: tuple[str, ...] = ()
    pull_secret: str = ""


def service(order: SessionOrder, run: str) -> Body:
    """Return the Service that owns the session's other objects.

    It is headless and publishes the Pod before it is ready: the gateway has the Pod's address before the server responds.
    """
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {ID: order.id, RUN: run},
        "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(order.id), "labels": _labels(order.id, run)},
        "spec": spec,
    }


def secret(order: SessionOrder, run: str, owner: Body) -> Body:
    """Return the Secret, the only object with the session's token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(order.id, run, owner),
        "immutable": True,
        "stringData": {"token": order.token},
    }


def route(order: SessionOrder, run: str, owner: Body, making: Making) -> Body:
    """Return the route from the session's host name to its Service."""
    spec = {
        "parentRefs": [{"name": making.gateway}],
        "hostnames": [f"{order.id}.{making.domain}"],
        "rules": [{"backendRefs": [{"name": service_name(order.id), "port": PORT}]}],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _metadata(order.id, run, owner),
        "spec": spec,
    }


def pod(order: SessionOrder, run: str, owner: Body, making: Making) -> Body:
    """Return the Pod. It conforms to Pod Security's `restricted`. It is never restarted: the session ends with its server."""
    metadata = _metadata(order.id, run, owner)
    metadata["annotations"] = {
        "bindery/repository": order.repository.repo_url[:LONGEST_ANNOTATION],
        REF: order.repository.ref[:LONGEST_ANNOTATION],
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": END_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": dict(making.resources.node_selector),
        "tolerations": [*_tolerations(making.resources), *_gone_nodes()],
        "containers": [_container(order, run, making)],
    }
    if making.resources.runtime_class:
        spec["runtimeClassName"] = making.resources.runtime_class
    if making.resources.user_namespaces:
        spec["hostUsers"] = False
    if making.pull_secret:
        spec["imagePullSecrets"] = [{"name": making.pull_secret}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _container(order: SessionOrder, run: str, making: Making) -> Body:
    token = {"secretKeyRef": {"name": run_name(order.id, run), "key": "token"}}
    plain = {**making.resources.session_environment, **order.variables}
    return {
        "name": CONTAINER,
        "image": order.image,
        **_command(order, making),
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": [
            *({"name": name, "value": _literal(value)} for name, value in plain.items()),
            {"name": "JUPYTER_TOKEN", "valueFrom": token},
        ],
        "resources": _limits(making.resources),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",  # stores the log's end in the Pod's status
    }


def _limits(resources: Resources) -> Body:
    """Return a container's requests and limits."""
    gpus = {resources.gpu_resource: str(resources.gpus)} if resources.gpus else {}
    return {
        "requests": {
            "memory": resources.memory_guarantee,
            "cpu": resources.cpu_guarantee,
            "ephemeral-storage": resources.storage_guarantee,
            **gpus,
        },
        "limits": {
            "memory": resources.memory_limit,
            "cpu": resources.cpu_limit,
            "ephemeral-storage": resources.storage_limit,
            **gpus,
        },
    }


def _tolerations(resources: Resources) -> list[Body]:
    return [each.model_dump(by_alias=True, exclude_defaults=True) for each in resources.tolerations]


@cache
def _shipped(package: str, name: str) -> str:
    """Return a file of one of Bindery's packages, for a session to run."""
    return _literal(files(package).joinpath(name).read_text())


def _command(order: SessionOrder, making: Making) -> Body:
    """Return `command` and `args`, which start the server. For scope FILES, `checkout.sh` checks out the session's commit first.

    repo2docker makes the images of scope FILES, so their entry point is known. It is a login shell, which reads the commit's
    startup files: `command` replaces it, and `checkout.sh` runs it after the checkout.
    """
    serve = ["sh", "-c", _shipped(JUPYTER, "serve.sh"), "serve", _shipped(JUPYTER, "start_lab.py"), *_options(making)]
    if order.scope is not Scope.FILES:
        return {"args": serve}
    repository = order.repository
    commit = [_literal(text) for text in (repository.ref, repository.clone_url, repository.link_ref)]
    layout = ["/bin/sh", "-c", _shipped(HERE, "checkout.sh"), "checkout", *commit]
    return {"command": layout, "args": [REPO2DOCKER, *serve]}


def _options(making: Making) -> tuple[str, ...]:
    """Return the server's options. The command line overrides any configuration file of the image. It does not contain the token."""
    return (
        "--ServerApp.ip=0.0.0.0",
        "--ServerApp.trust_xheaders=True",
        *server_options(PORT, making.allowed_origins),
    )


def _literal(text: str) -> str:
    """Return the text with escaped `$`: Kubernetes would replace `$(NAME)` with a variable's value."""
    return text.replace("$", "$$")


def _gone_nodes() -> list[Body]:
    """Return tolerations that end a session on a lost node after one minute, instead of Kubernetes' five."""
    return [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": NODE_LOST_SECONDS,
        }
        for state in ("not-ready", "unreachable")
    ]


def _labels(session: str, run: str) -> dict[str, str]:
    return {**MARK, ID: session, RUN: run}


def _metadata(session: str, run: str, owner: Body) -> Body:
    of = {"apiVersion": "v1", "kind": "Service", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {"name": run_name(session, run), "labels": _labels(session, run), "ownerReferences": [of]}
