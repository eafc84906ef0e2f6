"""Request for a conda environment, and its result: the contract between the build and the process that solves and installs."""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from bindery.domain.errors import BuildFailed

DEFAULT_CHANNEL: Final = "conda-forge"
DEFAULTS: Final = ("main", "r")
"""Channels that `defaults` stands for."""
MOST_CHANNELS, MOST_SPECS, MOST_CHARACTERS = 20, 2000, 400
MOST_SPEC_CHARACTERS: Final = 1000
"""Longest spec: rattler's parser recurses into parentheses, and a deep one overflows its stack."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,3}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9_.~%+-]+){0,8}/?")
_ADDRESS_IN_SPEC = re.compile(r"https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9_.~%+!-]+){1,12}/?")
_OF_A_PLACE = re.compile(r"[/\\:]")
_PASSWORD = "a channel's address holds a password; name a public channel"  # noqa: S105 - a sentence


@dataclass(frozen=True)
class CondaSpecs:
    """Conda packages that a repository requests.

    file: the file that requests them. channels: names or addresses, in order of priority. specs: as conda reads them.
    """

    file: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]

    def addresses(self, base: str) -> tuple[str, ...]:
        """Return the channels' addresses, `conda-forge` last if it is not named. base: the address of channels with a name.

        Raises BuildFailed for a channel or a package on this machine's disk, with a password, or that is none.
        """
        if len(self.channels) > MOST_CHANNELS or len(self.specs) > MOST_SPECS:
            raise BuildFailed(step=self.file, why=f"it names over {MOST_CHANNELS} channels or {MOST_SPECS} packages")
        for _, spec in map(_split, self.specs):
            self._check(spec)
        channels = [name for name in self.channels if name != "nodefaults"]
        if "nodefaults" not in self.channels or not channels:
            channels.append(DEFAULT_CHANNEL)
        spelled = [name for each in channels for name in (DEFAULTS if each == "defaults" else (each,))]
        spelled += [channel for channel, _ in map(_split, self.specs) if channel]
        return tuple(dict.fromkeys(self._address(name, base) for name in spelled))

    def addressed(self, base: str) -> tuple[str, ...]:
        """Return the specs with the addresses of their channels: `conda-forge::six` becomes `https://.../conda-forge::six`."""
        pairs = map(_split, self.specs)
        return tuple(f"{self._address(channel, base)}::{spec}" if channel else spec for channel, spec in pairs)

    def _check(self, spec: str) -> None:
        """Raise BuildFailed for a spec without its channel that names a file of this machine, or an address with a password."""
        rest = _ADDRESS_IN_SPEC.sub("", spec)
        if len(spec) <= MOST_SPEC_CHARACTERS and "@" not in rest and not _OF_A_PLACE.search(rest):
            return
        why = f"{spec[:60]!r} is no conda package; a package is a name with a version, or a public address"
        raise BuildFailed(step=self.file, why=_PASSWORD if "@" in rest else why)

    def _address(self, channel: str, base: str) -> str:
        """Return the address of one channel. Raises BuildFailed."""
        if len(channel) <= MOST_CHARACTERS and ".." not in channel:
            if _ADDRESS.fullmatch(channel):
                return channel.rstrip("/")
            if _NAME.fullmatch(channel):
                return f"{base.rstrip('/')}/{channel}"
        if "@" in channel:
            raise BuildFailed(step=self.file, why=_PASSWORD)
        raise BuildFailed(
            step=self.file,
            why=f"{channel[:60]!r} is no channel; a channel is a name such as conda-forge, or an address",
        )


def _split(spec: str) -> tuple[str, str]:
    """Return the channel before `::`, or an empty string, and the rest of the spec."""
    channel, _, rest = spec.rpartition("::")
    return (DEFAULTS[0] if channel == "defaults" else channel), rest


class CondaRequest(BaseModel):
    """Task of the process. `specs` are solved with each group of `base` in turn, until one has a solution.

    prefix: where to install. cache: the folder of downloaded packages.
    """

    model_config = ConfigDict(frozen=True)

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    base: tuple[tuple[str, ...], ...]
    prefix: str
    cache: str


class CondaPackage(BaseModel):
    """Installed package, as its channel describes it. sha256: in hexadecimal; empty if the channel has none."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    build: str
    url: str
    sha256: str = ""
    size: int = 0


class CondaResult(BaseModel):
    """Result of the process: packages, or a failure.

    why: the reason of the failure, for people. pythons: versions that the channels
    have, if no requested Python is among them.
    """

    model_config = ConfigDict(frozen=True)

    packages: tuple[CondaPackage, ...] = ()
    why: str = ""
    pythons: tuple[str, ...] = ()
