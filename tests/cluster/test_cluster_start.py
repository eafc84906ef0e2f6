"""Tests of the parts of a cluster's start: cached results, owners of places, and reports of a part's end."""

import os
from pathlib import Path

import pytest

from tests.cluster import claims, place
from tests.cluster.cached import made, place_of
from tests.cluster.daemons import Daemon, NotStarted, until
from tests.cluster.missing import what_is_missing
from tests.cluster.place import NUMBERS, PORTS, Place


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this test its own numbers and folders of clusters, cache and checkout. Real clusters may run beside it."""
    monkeypatch.setattr(place, "FOLDERS", tmp_path)
    monkeypatch.setattr(claims, "NUMBERS", range(NUMBERS.stop, NUMBERS.stop + 4))
    monkeypatch.setattr(claims, "CHECKOUT", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.usefixtures("apart")
def test_a_partial_result_is_not_used() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError

    result = place_of("thing", [b"recipe"])
    with pytest.raises(RuntimeError):
        made(result, fail)
    assert not result.exists()
    assert list(made(result, lambda folder: (folder / "whole").touch()).iterdir()) == [result / "whole"]
    assert made(result, fail) == result


@pytest.mark.usefixtures("apart")
def test_different_recipes_have_different_results() -> None:
    assert place_of("thing", [b"one", b"two"]) != place_of("thing", [b"one", b"three"])


def test_two_clusters_never_share_a_port() -> None:
    ports = [Place(number).port(name) for number in NUMBERS for name in PORTS]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 32768


def test_a_place_belongs_to_its_process_until_it_is_handed_over(apart: Path) -> None:
    own_place = claims.claim()
    assert claims.claim() != own_place
    assert claims.of_this_checkout() == []
    claims.hand_over(own_place)
    assert claims.of_this_checkout() == [own_place]


def test_the_cluster_of_a_deleted_checkout_is_removed(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "CHECKOUT", str(apart / "gone"))
    other_place = claims.claim()
    claims.hand_over(other_place)
    assert claims.claim() == other_place


@pytest.mark.usefixtures("apart")
def test_a_place_with_an_interrupted_claim_is_freed() -> None:
    other_place = claims.claim()
    (other_place.folder / "owner.json").unlink()
    assert claims.claim() == other_place


def test_a_daemon_that_ends_at_its_start_is_reported_with_its_last_output(tmp_path: Path) -> None:
    daemon = Daemon("part", tmp_path, ("sh", "-c", "echo no such thing >&2; exit 1")).start()
    with pytest.raises(NotStarted, match="part ended: no such thing"):
        until(lambda: False, [daemon])


def test_a_daemon_that_does_not_become_ready_is_reported_with_its_last_output(tmp_path: Path) -> None:
    daemon = Daemon("part", tmp_path, ("sh", "-c", "echo waiting; exec sleep 100")).start()
    try:
        with pytest.raises(NotStarted, match="part: waiting"):
            until(lambda: False, [daemon], seconds=0.5)
    finally:
        daemon.stop()
    with pytest.raises(NotStarted):
        daemon.check()


@pytest.mark.usefixtures("apart")
def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    assert what_is_missing() in ("only root can start a test cluster", "a test cluster needs Debian")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("tests.cluster.missing._system", lambda: "debian")
    monkeypatch.setenv("PATH", "/nonexistent")
    missing = what_is_missing()
    assert "\n" not in missing
    assert missing.startswith("a test cluster needs containerd, runc, ")
    assert missing.endswith("go 1.25")
