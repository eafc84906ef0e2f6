"""Thousands of sessions, in the form in which the table stores them."""

from bindery.domain.environment import Scope
from bindery.domain.repository import Repository
from bindery.domain.sessions import Session, SessionOrder, SessionState
from bindery.ports.table import Item
from bindery.state.due_index import due_shard

REPOSITORY = Repository(
    provider="gh",
    spec="o/r/HEAD",
    ref="0123456789abcdef0123456789abcdef01234567",
    resolved_spec="o/r/0123456789abcdef0123456789abcdef01234567",
    clone_url="https://github.com/o/r",
    repo_url="https://github.com/o/r",
    ref_url="https://github.com/o/r/tree/0123456789abcdef0123456789abcdef01234567",
    on_branch_or_tag=True,
)


def token_of(session: str) -> str:
    return f"the token of session {session}".ljust(32, ".")


def record_of(session: str, url: str, now: float) -> Item:
    """Return the record of a session that has been running for an hour and is due."""
    record = Session(
        id=session,
        owner="0123456789abcdef0123456789abcdef",
        token=token_of(session),
        repo_url=REPOSITORY.repo_url,
        state=SessionState.RUNNING,
        created_at=now - 3600,
        url=url,
        last_activity=now - 300,
    )
    data, shard = record.model_dump(mode="json"), due_shard("session", session)
    return Item(f"session#{session}", "session", data, due_shard=shard, due_at=now - 1)


def order_of(session: str) -> SessionOrder:
    return SessionOrder(
        id=session,
        token=token_of(session),
        image=f"registry.example/session@sha256:{0:064}",
        scope=Scope.FILES,
        repository=REPOSITORY,
        variables={"BINDER_REPO_URL": REPOSITORY.repo_url, "BINDER_REQUEST": "v2/gh/o/r/HEAD"},
    )
