"""Tests of a disk that is really full. Launches say so, partial data is removed, and with room again the same link
works.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving.git_http import GitServer, make_repository
from tests.serving.leftovers import check_at_rest
from tests.serving.messages import check_readable
from tests.serving.runtime import LocalRuntime

Spec = Callable[..., str]
SETTINGS = {"reconcile_seconds": 1}
SMALL, LARGE = "24m", "1g"
MB = 1_000_000


@dataclass(frozen=True)
class Disk:
    """A file system of its own, in memory, mounted at `folder`."""

    folder: Path

    def mount(self) -> None:
        self.folder.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=700", "none", self.folder], check=True)

    def grow(self) -> None:
        subprocess.run(["mount", "-o", f"remount,size={LARGE}", self.folder], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    @property
    def used(self) -> int:
        status = os.statvfs(self.folder)
        return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.fixture
def mounted() -> Iterator[Callable[[Path], Disk]]:
    """Provide a function that mounts a disk until the test's end."""
    if os.geteuid():
        pytest.skip("only root can mount a file system")
    with ExitStack() as disks:

        def mount(folder: Path) -> Disk:
            disk = Disk(folder)
            disk.mount()
            disks.callback(disk.unmount)
            return disk

        yield mount


def test_a_build_that_fills_the_disk_fails_with_that_reason_until_there_is_room(
    home: Path, mounted: Callable[[Path], Disk], git_server: GitServer, spec_of: Spec, plain: str
) -> None:
    data = os.urandom(30 * MB)
    make_repository(git_server.root / "no-room-for-its-pack.git", {"data": data})
    make_repository(git_server.root / "no-room-for-its-files.git", {"data": data[: 14 * MB]})
    disk = mounted(home)
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=SETTINGS) as bindery:
        for spec in (spec_of("no-room-for-its-pack.git"), plain, spec_of("no-room-for-its-files.git")):
            failed = bindery.launch(spec).last
            assert failed.phase == "failed"
            assert "the disk is full" in failed.message
            check_readable(failed.message)
            check_at_rest(bindery)
        assert disk.used < 16 * MB  # only the one pack that was fetched whole stays
        disk.grow()
        assert bindery.launch(plain).last.phase == "ready"
        assert bindery.launch(spec_of("no-room-for-its-pack.git")).last.phase == "ready"
        check_at_rest(bindery)


def test_a_post_build_script_that_fills_the_disk_fails_with_that_reason(
    home: Path, mounted: Callable[[Path], Disk], git_server: GitServer, spec_of: Spec
) -> None:
    """The environment itself fits. The script writes to another disk, which does not take all its data."""
    full = mounted(home.with_name("full")).folder
    script = f"#!/bin/sh\nhead -c {50 * MB} /dev/zero > {full}/zeros\n"
    make_repository(git_server.root / "fills.git", {"postBuild": script})
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=SETTINGS) as bindery:
        failed = bindery.launch(spec_of("fills.git")).last
        assert "the disk is full" in failed.message
        check_readable(failed.message)
        check_at_rest(bindery)


def test_a_session_without_disk_space_starts_once_there_is_some(
    home: Path, mounted: Callable[[Path], Disk], git_server: GitServer, spec_of: Spec
) -> None:
    disk = mounted(home / "sessions")
    script = f"#!/bin/sh\nhead -c {30 * MB} /dev/zero > made\n"
    make_repository(git_server.root / "large-session.git", {"postBuild": script})
    with LocalRuntime(home, allowed_private_hosts=git_server.address, settings=SETTINGS) as bindery:
        with bindery.stream(spec_of("large-session.git")) as starting:
            assert any("trying again" in event.message for event in starting.listen())
            disk.grow()
            assert starting.finish().last.phase == "ready"
        check_at_rest(bindery)
