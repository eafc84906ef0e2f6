"""What ends a session on a real cluster after it was ready, each as its own reason: told by a wait, and at the next look."""

import json
from collections.abc import Iterator

import pytest

from bindery.adapters.sessions import pod
from bindery.adapters.sessions.kubernetes import KubernetesSessions
from bindery.domain.errors import BinderyError, NodeLost, SessionEvicted, SessionOutOfMemory
from bindery.domain.sessions import Liveness
from tests.cluster.trials import Trials, told
from tests.serving.lab import TOKEN, authorized, kernel_of, until

EAT = "kept = []\nwhile True: kept.append(b'x' * 1_000_000)"
DOOMED = "open('/proc/1/oom_score_adj', 'w').write('1000')"  # then the kernel takes the server first


@pytest.fixture(scope="module")
def launcher(trials: Trials) -> Iterator[KubernetesSessions]:
    with trials.launcher(memory_limit="400M", storage_limit="50M") as launcher:
        yield launcher
    trials.shipped.remove_sessions()


def ready(launcher: KubernetesSessions, trials: Trials) -> tuple[str, str]:
    """A session's id and address."""
    order = trials.order(trials.shipped.cluster.base_image)
    launcher.start(order)
    report = launcher.wait(order.id, TOKEN, 60)
    assert report.liveness is Liveness.READY, report
    return order.id, report.url


def end_of(launcher: KubernetesSessions, session: str) -> BinderyError | None:
    until(lambda: launcher.wait(session, TOKEN, 0).liveness is Liveness.GONE, 120)
    return launcher.wait(session, TOKEN, 0).trouble


def why(launcher: KubernetesSessions, session: str) -> str:
    """As the next look tells it."""
    (found,) = [each for each in launcher.objects() if each.id == session]
    assert not found.alive
    return found.why


def test_a_server_that_takes_too_much_memory_later(launcher: KubernetesSessions, trials: Trials) -> None:
    session, url = ready(launcher, trials)
    with pytest.raises(Exception):
        kernel_of(url).run(f"{DOOMED}\n{EAT}")
    trouble = end_of(launcher, session)
    assert (type(trouble), trouble and trouble.facts) == (SessionOutOfMemory, {"limit": "400M"})
    assert why(launcher, session) == "it used more memory than it may (400M)"


def test_a_server_that_is_shut_down_after_its_kernel_took_too_much(
    launcher: KubernetesSessions, trials: Trials
) -> None:
    import httpx

    session, url = ready(launcher, trials)
    kernel = kernel_of(url)
    try:
        print(kernel.run(EAT))
    except Exception as e:
        print(repr(e))
    httpx.post(f"{url}api/shutdown", headers=authorized(), trust_env=False)
    print(end_of(launcher, session))
    print(json.dumps(trials.shipped.pods(session)[0]["status"]["containerStatuses"], indent=1))
    assert why(launcher, session) == ""


def test_evicted(launcher: KubernetesSessions, trials: Trials) -> None:
    session, url = ready(launcher, trials)
    print(
        kernel_of(url).run(
            "import os; f=open('big','wb'); [f.write(os.urandom(1000_000)) for i in range(100)]; f.close(); print(os.path.getsize('big'))"
        )
    )
    import time

    t = time.time()
    print(repr(end_of(launcher, session)))
    print(time.time() - t)
    print(why(launcher, session))
    assert 0
