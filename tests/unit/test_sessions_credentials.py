"""Kubeconfig files: the error names the fault of a bad file, and credentials are fetched again in time."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bindery.domain.errors import LauncherDown
from bindery_local.kubeconfig_file import access_of

COMMAND = {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "interactiveMode": "Never"}


@pytest.fixture
def shown(tmp_path: Path) -> Callable[[str], None]:
    """Return a function that sets the token which the command of the kubeconfig `config` prints. The token is always about to expire."""

    def show(token: str) -> None:
        status = {"token": token, "expirationTimestamp": "2026-01-01T00:00:00Z"}
        credential = {"apiVersion": COMMAND["apiVersion"], "kind": "ExecCredential", "status": status}
        (tmp_path / "told").write_text(json.dumps(credential))

    user = {"exec": {**COMMAND, "args": [str(tmp_path / "told")]}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": user}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    return show


def test_credentials_are_cached_briefly_and_replaced_when_refused(
    shown: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown("one")
    access = access_of(str(tmp_path / "config"))
    first = access.entry()
    assert not access.renewed(first), "the same is shown"
    shown("two")
    assert access.entry().authorization == "Bearer one"
    assert access.renewed(first)
    assert access.entry().authorization == "Bearer two"
    assert access.entry().pool is first.pool
    shown("three")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert access.entry().authorization == "Bearer three"
    access.close()


@pytest.mark.parametrize("text", ["a: [b", "- a", "\x00", "current-context: x", "4711"])
def test_an_invalid_kubeconfig_is_reported_without_its_content(text: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(LauncherDown) as down:
        access_of(str(tmp_path / "config"))
    assert text not in str(down.value.facts["why"])


def test_an_unreadable_kubeconfig_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LauncherDown) as down:
        access_of(str(tmp_path))
    assert "directory" in str(down.value.facts["why"])
