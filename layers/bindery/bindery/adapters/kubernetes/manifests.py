"""A session's objects: a Service that owns the others, a Secret with the token, the Pod, the route to its own host name."""

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
NODE_LOST_SECONDS = 60  # how long a session may be on a node that does not answer
END_SECONDS = 10
REPO2DOCKER = "/usr/local/bin/repo2docker-entrypoint"


def service_name(session: str) -> str:
    """Deterministic: what makes starting idempotent."""
    return f"session-{session}"


def run_name(session: str, run: str) -> str:
    """Of everything else. A new start under the same id collides with nothing that an old one left."""
    return f"session-{session}-{run}"


@dataclass(frozen=True)
class Making:
    """How sessions are made here. gateway: name of the Gateway, in the sessions' namespace. domain: sessions' hosts are below it.

    allowed_origins: pages elsewhere that may talk to a session's server, given its token (`*`: any).
    pull_secret: name of the Secret with which nodes fetch images; empty: they need none.
    """

    gateway: str
    domain: str
    resources: Resources
    allowed_origins: tuple[str, ...] = ()
    pull_secret: str = ""


def service(order: SessionOrder, run: str) -> Body:
    """Owns the others. Headless, and published before the Pod is ready: the gateway knows the way before the server answers."""
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
    """The only object that holds the token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(order.id, run, owner),
        "immutable": True,
        "stringData": {"token": order.token},
    }


def route(order: SessionOrder, run: str, owner: Body, making: Making) -> Body:
    """From the session's host name to its Service."""
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
    """Fits Pod Security's `restricted`. It is never restarted: a session whose server ended is over."""
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
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the log's end in the Pod's own record
    }


def _limits(given: Resources) -> Body:
    """A container's requests and limits."""
    gpus = {given.gpu_resource: str(given.gpus)} if given.gpus else {}
    return {
        "requests": {
            "memory": given.memory_guarantee,
            "cpu": given.cpu_guarantee,
            "ephemeral-storage": given.storage_guarantee,
            **gpus,
        },
        "limits": {
            "memory": given.memory_limit,
            "cpu": given.cpu_limit,
            "ephemeral-storage": given.storage_limit,
            **gpus,
        },
    }


def _tolerations(given: Resources) -> list[Body]:
    return [each.model_dump(by_alias=True, exclude_defaults=True) for each in given.tolerations]


@cache
def _shipped(package: str, name: str) -> str:
    """Return a file of one of Bindery's packages, for a session to run."""
    return _literal(files(package).joinpath(name).read_text())


def _command(order: SessionOrder, making: Making) -> Body:
    """Return `command` and `args`: the server, and before it what lays out the session's commit, where the image needs that.

    An image of scope FILES is repo2docker's, so its entry point is known. That is a login shell, which reads the commit's
    startup files: `command` goes round it, and `lay_out.sh` runs it when the commit is there.
    """
    serve = ["sh", "-c", _shipped(JUPYTER, "serve.sh"), "serve", _shipped(JUPYTER, "start_lab.py"), *_options(making)]
    if order.scope is not Scope.FILES:
        return {"args": serve}
    repository = order.repository
    commit = [_literal(text) for text in (repository.ref, repository.clone_url, repository.link_ref)]
    layout = ["/bin/sh", "-c", _shipped(HERE, "lay_out.sh"), "lay_out", *commit]
    return {"command": layout, "args": [REPO2DOCKER, *serve]}


def _options(making: Making) -> tuple[str, ...]:
    """Options on the command line win over any configuration file of the image. The token is not among them."""
    return (
        "--ServerApp.ip=0.0.0.0",
        "--ServerApp.trust_xheaders=True",
        *server_options(PORT, making.allowed_origins),
    )


def _literal(text: str) -> str:
    """Kubernetes would put the value of a variable for `$(NAME)`."""
    return text.replace("$", "$$")


def _gone_nodes() -> list[Body]:
    """A session on a node that went away is over after a minute, not after Kubernetes' five."""
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
