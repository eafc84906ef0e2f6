"""Script of the process that solves and installs a conda environment with py-rattler.

Arguments: the request's file, the result's file, the folders of Bindery's packages. It is a process of its own: rattler's threads cannot
be cancelled, and a large solve may reach the memory limit. Its output is the build's log.
"""

import asyncio
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rattler import Channel, Client, Gateway, InstallerReporter, RepoDataRecord, Subdir

    from bindery_builder.environments.conda_request import CondaPackage, CondaRequest, CondaResult

REPORT_SECONDS = 2.0
MEGABYTE = 1_000_000
CONFIGURATION = "allow-hard-links = false\nallow-symbolic-links = false\n"
"""Files are cloned or copied from the cache: a build or a session that changes one in place must not change the cache."""


def main() -> None:
    """Write the result and end the process."""
    request_file, result_file = map(Path, sys.argv[1:3])
    sys.path += sys.argv[3:]
    from bindery_builder.environments.conda_request import CondaRequest
    from bindery_builder.process.resource_limits import limit_solver

    limit_solver()
    request = CondaRequest.model_validate_json(request_file.read_bytes())
    result = asyncio.run(_make(request))
    result_file.write_text(result.model_dump_json())
    sys.stdout.flush()
    os._exit(0)  # rattler's threads may still run, and would crash an interpreter that ends


async def _make(request: "CondaRequest") -> "CondaResult":
    from rattler import Channel, Client, Gateway
    from rattler.exceptions import (
        GatewayError,
        InstallerError,
        InvalidChannelError,
        InvalidMatchSpecError,
        SolverError,
        TransactionError,
    )

    from bindery_builder.environments.conda_request import CondaResult

    client = Client(user_agent="bindery")
    gateway = Gateway(cache_dir=Path(request.cache) / "repodata", client=client)
    try:
        channels = [Channel(address) for address in request.channels]
        records = await _solved(request, channels, gateway)
        print(f"Installing {len(records)} conda packages ({_megabytes(records)} MB)", flush=True)  # noqa: T201 - the log
        await _install(request, records, client)
    except SolverError as error:
        return CondaResult(why=_reason(error), pythons=await _pythons(request, channels, gateway))
    except (InvalidChannelError, InvalidMatchSpecError, GatewayError, InstallerError, TransactionError) as error:
        return CondaResult(why=str(error))
    return CondaResult(packages=tuple(map(_package, records)))


async def _solved(request: "CondaRequest", channels: "list[Channel]", gateway: "Gateway") -> "list[RepoDataRecord]":
    """Return the solution with the first group of base packages that has one. Raises SolverError."""
    from rattler import MatchSpec, VirtualPackage, solve
    from rattler.exceptions import SolverError

    own = [MatchSpec(text) for text in request.specs]
    requested = {spec.name.normalized for spec in own if spec.name is not None}
    machine = VirtualPackage.detect()

    async def solved_with(group: tuple[str, ...]) -> "list[RepoDataRecord]":
        base = [spec for text in group if (spec := MatchSpec(text)).name and spec.name.normalized not in requested]
        specs = [*own, *base]
        return await solve(channels, specs, gateway=gateway, platforms=_platforms(), virtual_packages=machine)

    *groups, last = request.base
    for group in groups:
        with suppress(SolverError):
            return await solved_with(group)
    return await solved_with(last)


def _platforms() -> "list[Subdir]":
    """Return the platforms whose packages run on this machine: its own, and that of packages for any machine."""
    from rattler import Subdir

    return [Subdir.current(), Subdir("noarch")]


async def _install(request: "CondaRequest", records: "list[RepoDataRecord]", client: "Client") -> None:
    from rattler import Config, install
    from rattler.package_cache import PackageCache, ValidationMode

    # A damaged package is downloaded again. The key has the address: packages of two channels may have one name and version.
    cache = PackageCache.new_layered([request.cache], cache_origin=True, validation_mode=ValidationMode.full())
    await install(
        records,
        request.prefix,
        package_cache=cache,
        config=Config.from_toml(CONFIGURATION),
        client=client,
        show_progress=False,
        execute_link_scripts=True,
        reporter=cast("InstallerReporter", Progress(len(records), _megabytes(records))),
    )


class Progress:
    """Reporter of an installation: prints the downloaded bytes and the linked packages every REPORT_SECONDS."""

    def __init__(self, packages: int, megabytes: int) -> None:
        self._packages, self._megabytes = packages, megabytes
        self._downloaded: dict[int, int] = {}
        self._linked = 0
        self._printed_at = time.monotonic()

    def on_download_start(self, cache_entry: int) -> int:
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:  # noqa: ARG002 - rattler's
        self._downloaded[download_idx] = progress
        self._print()

    def on_link_complete(self, index: int) -> None:  # noqa: ARG002 - rattler's
        self._linked += 1
        self._print()

    def _print(self) -> None:
        if time.monotonic() - self._printed_at < REPORT_SECONDS:
            return
        self._printed_at = time.monotonic()
        megabytes = sum(self._downloaded.values()) // MEGABYTE
        text = f"Downloaded {megabytes} of {self._megabytes} MB, installed {self._linked} of {self._packages} packages"
        print(text, flush=True)  # noqa: T201 - the log


async def _pythons(request: "CondaRequest", channels: "list[Channel]", gateway: "Gateway") -> tuple[str, ...]:
    """Return the minor versions of Python that the channels have, if no requested Python is among them; else an empty tuple."""
    from rattler import MatchSpec

    specs = [spec for text in request.specs if (spec := MatchSpec(text)).name]
    specs = [spec for spec in specs if spec.name is not None and spec.name.normalized == "python"]
    sources = await gateway.query(
        sources=channels, platforms=_platforms(), specs=[MatchSpec("python")], recursive=False
    )
    records = [record for source in sources for record in source]
    if not specs or any(all(spec.matches(record) for spec in specs) for record in records):
        return ()
    numbers = [re.match(r"(\d{1,3})\.(\d{1,3})", str(record.version)) for record in records]
    minors = {(int(number[1]), int(number[2])) for number in numbers if number}
    return tuple(f"{major}.{minor}" for major, minor in sorted(minors))


def _reason(error: Exception) -> str:
    return str(error).removeprefix("Cannot solve the request because of: ").strip()


def _megabytes(records: "list[RepoDataRecord]") -> int:
    return sum(record.size or 0 for record in records) // MEGABYTE


def _package(record: "RepoDataRecord") -> "CondaPackage":
    from bindery_builder.environments.conda_request import CondaPackage

    return CondaPackage(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        url=record.url,
        sha256=record.sha256.hex() if record.sha256 else "",
        size=record.size or 0,
    )


if __name__ == "__main__":
    main()
