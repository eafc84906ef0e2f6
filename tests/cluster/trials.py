"""Sessions that shall fail, with the tests' own servers in place of JupyterLab, and the reports of their ends."""

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from bindery.adapters.kubernetes.launcher import KubernetesSessions
from bindery.domain.errors import BinderyError, SessionDied
from bindery.domain.resources import Resources
from bindery.domain.sessions import Liveness, SessionOrder, SessionReport
from tests.cluster.layers import Layer, push
from tests.cluster.shipped import RESOURCES, Shipped
from tests.serving.lab import TOKEN, order_of

PATIENCE = 90.0
SERVERS: Mapping[str, str] = {
    "crash": "exec >&2; for n in 1 2 3; do echo step $n; done; echo 'ValueError: no such colour'; exit 3",
    "greedy": "exec python3 -c 'kept = []\nwhile True: kept.append(b\"x\" * 1_000_000)'",
    "mute": "trap exit TERM; sleep 1000 & wait",
}


@dataclass
class Trials:
    """Trials of launches. Each launch is under an id of its own.

    image: has the SERVERS.
    """

    shipped: Shipped
    image: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def order(self, image: str = "") -> SessionOrder:
        return order_of(f"trial{next(self._numbers)}", image=image or self.image)

    @contextmanager
    def launcher(self, server: str = "", **resources: object) -> Iterator[KubernetesSessions]:
        """Provide a launcher. Its sessions run one of SERVERS, or JupyterLab.

        resources: values that differ from the tests' own.
        """
        path = {"PATH": f"/srv/{server}:/opt/venv/bin:/usr/bin:/bin"} if server else {}
        values = {**RESOURCES.model_dump(), "session_environment": path, **resources}
        launcher = self.shipped.launcher(Resources.model_validate(values))
        yield launcher
        launcher.close()

    def fails(self, server: str = "", image: str = "", **resources: object) -> BinderyError:
        """Return the first error that a launch reports. Afterwards no object of its session is left."""
        with self.launcher(server, **resources) as launcher:
            order = self.order(image)
            try:
                return trouble_of(launcher, order)
            finally:
                launcher.stop(order.id)


def trouble_of(launcher: KubernetesSessions, order: SessionOrder) -> BinderyError:
    """Start a session and wait, as a launch would, until there is trouble to report."""
    try:
        launcher.start(order)
    except BinderyError as refused:
        return refused
    report = report_of_end(launcher, order.id)
    return report.trouble or SessionDied(why=report.why)


def report_of_end(launcher: KubernetesSessions, session: str) -> SessionReport:
    """Return the report of a wait once the session is over or has trouble. It is never READY."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        report = launcher.wait(session, TOKEN, PATIENCE)
        assert report.liveness is not Liveness.READY
        if report.trouble or report.liveness is Liveness.GONE:
            return report
    raise TimeoutError(f"the session did not end: {report}")


@pytest.fixture(scope="session")
def trials(shipped: Shipped) -> Trials:
    """Provide one image for all trials."""
    programs = {f"/srv/{name}/jupyter-lab": f"#!/bin/sh\n{script}\n" for name, script in SERVERS.items()}
    layer = Layer({**programs, "/srv/none/README": "Nothing can be run here."}, frozenset(programs))
    return Trials(shipped, push(shipped.cluster.registry, "trials", layer))
