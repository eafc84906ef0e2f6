"""Interface of a session's environment; `bindery_local.builds.environments` implements it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol


class Environment(Protocol):
    """Built environment on this machine.

    python: its interpreter, in `bin` of a virtual environment. ref: the ref that it was built from. content: the working copy as
    the build left it, if the build may change it. home: the HOME that the build left. start: the `start` script, relative to the
    working copy. variables: environment variables that its packages set.
    """

    @property
    def python(self) -> Path: ...
    @property
    def ref(self) -> str: ...
    @property
    def content(self) -> Path | None: ...
    @property
    def home(self) -> Path | None: ...
    @property
    def start(self) -> Path | None: ...
    @property
    def variables(self) -> Mapping[str, str]: ...


class Hold(Protocol):
    """Lock that prevents the eviction of an environment until `close`, or until every process with the inherited `descriptor` has
    ended.
    """

    @property
    def descriptor(self) -> int: ...
    def close(self) -> None: ...


FindEnvironment = Callable[[str], Environment | None]
HoldEnvironment = Callable[[str], Hold | None]
