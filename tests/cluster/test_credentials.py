"""Tests of credentials that a real API server refuses. Launches fail with words for visitor and operator, and go on
with the next accepted ones.
"""

import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from bindery.adapters.aws.kubeconfig_secret import SecretAccess
from bindery.adapters.clock import SystemClock
from bindery.adapters.kubernetes.access import LOOK_AGAIN_SECONDS
from bindery.adapters.kubernetes.api import Cluster
from bindery.adapters.kubernetes.launcher import KubernetesSessions, PublicAddress
from bindery.adapters.kubernetes.manifests import Making
from bindery.bootstrap import System
from bindery.domain.builds import BuildReport, BuildState
from bindery.domain.errors import LauncherDown
from bindery.domain.launch import Launch, Stage
from bindery.ports.session_launcher import SessionLauncher
from bindery.web.errors.render import error_message
from tests.cluster.shipped import GATEWAY, NAMESPACE, RESOURCES, ROOT, Shipped
from tests.cluster.trials import Trials
from tests.fakes.clock import FakeClock
from tests.fakes.host import COMMIT
from tests.fakes.in_memory_system import InMemorySystem
from tests.fakes.ports import FakePorts, settings_of
from tests.serving import aws
from tests.serving.kubeconfigs import inlined

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRET = "bindery/kubeconfig"
REFUSED = "This Bindery has no access to the cluster of its sessions. Its operator has been informed: launch again in a while."


class Alarms(logging.Handler):
    """Collector of the log entries for the operator, as (name, words)."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.entries: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if name := getattr(record, "alarm", ""):
            self.entries.append((name, record.getMessage()))


@pytest.fixture
def alarms() -> Iterator[Alarms]:
    alarms, logger = Alarms(), logging.getLogger("bindery")
    logger.addHandler(alarms)
    yield alarms
    logger.removeHandler(alarms)


@pytest.fixture
def secrets() -> Iterator["SecretsManagerClient"]:
    with mock_aws():
        yield aws.session().client("secretsmanager")


class Launches:
    """Whole launches in which only the session is real."""

    def __init__(self, launcher: SessionLauncher, image: str) -> None:
        self.system, self.image = InMemorySystem(), image
        system = self.system
        system.host.files = {
            COMMIT: {"Dockerfile": b"FROM scratch"}
        }  # an image of a whole commit: its start fetches no files
        system.clock.random_id = SystemClock().random_id  # type: ignore[method-assign]  # names of their own on the cluster
        ports = FakePorts(system.table, system.queue, system.builds, launcher, system.clock, system.host)
        system.bindery = System(ports, settings_of())

    def one(self) -> Launch:
        """Run one launch from the click to its end, together with the other launches that are under way."""
        opened = self.system.open()
        self.pump()
        for handle in self.system.builds.running():
            self.system.builds.images.add(self.image)
            self.system.builds.finish(handle, BuildReport(BuildState.SUCCEEDED, image=self.image))
        self.pump()
        return self.system.launch(opened)

    def pump(self) -> None:
        """Handle the messages. Those that cannot be handled come again with the next launch."""
        again = []
        while self.system.queue.sent:
            message = self.system.queue.sent[0].message
            try:
                self.system.pump(1)
            except AssertionError:  # there are more
                continue
            except LauncherDown:
                again.append(message)
        for message in again:
            self.system.queue.send(message)


@contextmanager
def by_secret(
    shipped: Shipped, secrets: "SecretsManagerClient", config: str, clock: FakeClock
) -> Iterator[KubernetesSessions]:
    """Provide a launcher that reads its kubeconfig from a secret.

    clock: the launcher looks at the secret by this clock.
    """
    secrets.create_secret(Name=SECRET, SecretString=config)
    address = PublicAddress(shipped.address)
    access = SecretAccess(SECRET, secrets, clock)
    making = Making(GATEWAY, address.domain, RESOURCES)
    launcher = KubernetesSessions(Cluster(access, NAMESPACE), making, address, SystemClock())
    try:
        yield launcher
    finally:
        shipped.remove_sessions()
        launcher.close()


def test_a_launch_fails_with_a_wrong_token_and_succeeds_after_its_correction(
    trials: Trials, secrets: "SecretsManagerClient", alarms: Alarms
) -> None:
    right = inlined(trials.shipped.kubeconfig)
    wrong = inlined(trials.shipped.kubeconfig, token="4711")
    clock = FakeClock()
    with by_secret(trials.shipped, secrets, wrong, clock) as launcher:
        launches = Launches(launcher, trials.image)
        failed = launches.one()
        assert failed.stage is Stage.FAILED
        assert failed.failure
        assert error_message(failed.failure).message == REFUSED
        assert len(alarms.entries) >= 4, "each try"
        assert set(alarms.entries) == {
            ("ClusterRefused", "no way into the cluster: the cluster does not accept Bindery's credentials")
        }
        assert "4711" not in json.dumps(failed.model_dump(mode="json"))
        secrets.put_secret_value(SecretId=SECRET, SecretString=right)
        clock.advance(LOOK_AGAIN_SECONDS)
        assert launches.one().stage is Stage.READY
        assert launches.system.queue.sent == [], "what was left of the first is stopped, too"


def test_a_token_replaced_in_use_loses_no_launch_and_no_connection(
    trials: Trials, secrets: "SecretsManagerClient", alarms: Alarms
) -> None:
    clock = FakeClock()
    with by_secret(trials.shipped, secrets, inlined(trials.shipped.kubeconfig), clock) as launcher:
        launches = Launches(launcher, trials.image)
        assert launches.one().stage is Stage.READY
        pool = pool_of(launcher)
        connections = pool.num_connections
        assert connections <= 2, "one to ask, one to watch"
        # The old one is refused from now on; the new one is the administrator's, since this cluster knows no other.
        entry = launcher._cluster._access._entry  # type: ignore[attr-defined]
        object.__setattr__(entry, "authorization", "Bearer 4711")
        secrets.put_secret_value(SecretId=SECRET, SecretString=inlined(trials.shipped.cluster.kubeconfig))
        clock.advance(LOOK_AGAIN_SECONDS)
        assert launches.one().stage is Stage.READY
        assert pool_of(launcher) is pool
        assert pool.num_connections == connections
    assert alarms.entries == []


def test_the_kubeconfig_from_the_operators_page_gives_a_function_access(
    trials: Trials, secrets: "SecretsManagerClient", tmp_path: Path
) -> None:
    """The page's commands make the kubeconfig when the cluster's administrator runs them unchanged."""
    page = (ROOT / "infra" / "kubernetes" / "README.md").read_text()
    (command,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "create token" in block]
    cluster = trials.shipped.cluster
    paths = os.pathsep.join([str(cluster.binaries), os.environ["PATH"]])
    environment = {**os.environ, "PATH": paths, "KUBECONFIG": str(cluster.kubeconfig)}
    ran = subprocess.run(["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    kubeconfig = tmp_path / "bindery.kubeconfig"
    assert kubeconfig.stat().st_mode & 0o077 == 0
    with by_secret(trials.shipped, secrets, kubeconfig.read_text(), FakeClock()) as launcher:
        assert Launches(launcher, trials.image).one().stage is Stage.READY


def pool_of(launcher: KubernetesSessions) -> Any:
    entry = launcher._cluster._access.entry()
    return entry.pool.connection_from_url(entry.address)
