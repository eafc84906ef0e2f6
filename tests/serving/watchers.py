"""A Bindery that allows few watchers at one time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving.git_http import GitServer
from tests.serving.runtime import ROOT, LocalRuntime

LIMIT = "  WatchersAtOnce: {Type: Number, Default: 200,"


@contextmanager
def may_watch(home: Path, git_server: GitServer, number: int) -> Iterator[LocalRuntime]:
    """Run Bindery on a copy of the template with another limit."""
    text = (ROOT / "template.yaml").read_text()
    assert text.count(LIMIT) == 1
    copy = home.with_name("template.yaml")
    copy.write_text(text.replace(LIMIT, LIMIT.replace("200", str(number))))
    with LocalRuntime(home, template=copy, allowed_private_hosts=git_server.address) as runtime:
        yield runtime
