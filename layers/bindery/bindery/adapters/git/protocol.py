"""Client for git's protocol, version 2, over the guarded HTTP client. Lists refs, and fetches packs with only the needed objects.

Only version 2 is supported: it lists only the requested refs and sends any object by id, and every large host speaks it. dulwich frames
the lines and reads the packs. Its own client is not used: it would list the refs again before each fetch, and it drops the server's
refusals.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Final

from dulwich.errors import GitProtocolError
from dulwich.protocol import Protocol, pkt_line
from urllib3.response import BaseHTTPResponse

from bindery.adapters.http.address_rules import parsed
from bindery.adapters.http.client import GuardedClient, final_url, refusal, responding_host, unexpected_status
from bindery.domain.errors import BadAddress, HostUnreachable, RepositoryNotFound
from bindery.ports.clock import Clock

SERVICE: Final = "git-upload-pack"
DISCOVERY: Final = f"info/refs?service={SERVICE}"
VERSION_2: Final = {"Git-Protocol": "version=2"}
OBJECT_ID: Final = re.compile(rb"[0-9a-f]{40}")
MOST_CAPABILITIES: Final = 1000
HEADS, TAGS = "refs/heads/", "refs/tags/"
MOST_REFS: Final = 20_000
DATA, FATAL = 1, 3
TIPS: Final = (b"refs/heads/", b"refs/tags/")
FILES_LINE: Final = re.compile(rb"[0-9a-f]{40}\trefs/")
FILES_LINE_BYTES: Final = 64
ONLY_FILES: Final = "its server only hands out files (dumb http); git's smart protocol is needed, as forges and git http-backend speak it"


class Refused(Exception):  # a message of the server, caught and turned into a fact by the caller
    """Error of a server that refuses or cannot fulfil a request, such as for an object that it does not have."""


@dataclass(frozen=True)
class Remote:
    """Server of a repository, as its discovery response describes it.

    base: the address after redirects, with a trailing slash. authorization: value of the header that the server requires, or empty.
    """

    url: str
    base: str
    filters: bool
    authorization: str = field(default="", repr=False)


class TooManyRefs(Exception):  # caught and turned into a note by the caller
    """Error for a repository with more branches and tags than MOST_REFS."""


@dataclass(frozen=True)
class Ref:
    """Ref of a repository.

    name: in full. id: id of the object that it names. commit: the commit that it leads to (annotated tags peeled). target: of a symbolic
    ref.
    """

    name: str
    id: str
    commit: str
    target: str = ""


def fingerprint(refs: Iterable[Ref]) -> str:
    """Return a digest of the tags among the refs, with their commits: the tags that `git describe` reads."""
    lines = sorted(f"{ref.name} {ref.id} {ref.commit}" for ref in refs if ref.name.startswith(TAGS))
    return sha256("\n".join(lines).encode()).hexdigest()[:32]


class GitWire:
    """Client for git servers. Each call needs the caller's exchange.

    Raises, besides the guard's errors: RepositoryNotFound, HostLimited, BadAddress.
    """

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def discover(self, url: str, authorization: str = "") -> Remote:
        """Return the capabilities of the server at this clone address. Sends one request.

        If the server redirects to another host, that host gets no authorization.
        """
        address = f"{url.rstrip('/')}/{DISCOVERY}"
        self._check_limits(url, authorization)
        with _refusal_is_absence(url), self._client.stream("GET", address, _with(authorization)) as response:
            self._check(response, address, url, f"application/x-{SERVICE}-advertisement", authorization)
            reader = _Reader(response, url)
            lines = list(islice(reader.lines(), MOST_CAPABILITIES))
            if lines and lines[0].startswith(b"# service="):  # some servers send this line in version 2, too
                lines = list(islice(reader.lines(), MOST_CAPABILITIES))
            reader.finish()
            base = final_url(response, address)
        if not lines or lines[0] != b"version 2":
            raise BadAddress(url=url, why="its server does not speak version 2 of git's protocol")
        if b"object-format=sha256" in lines:
            raise BadAddress(url=url, why="its commits have SHA-256 ids, which are not supported yet")
        if not base.endswith(DISCOVERY):
            raise BadAddress(url=url, why="it redirects to something that is no git repository")
        fetch = next((line for line in lines if line.startswith(b"fetch=")), b"fetch=")
        base = base.removesuffix(DISCOVERY)
        credentials = authorization if parsed(base) == parsed(url) else ""
        return Remote(url, base, b"filter" in fetch.removeprefix(b"fetch=").split(), credentials)

    def refs(self, remote: Remote, names: Iterable[str]) -> Mapping[str, str]:
        """Return the commits of the full names that exist (annotated tags peeled). Sends one request."""
        requested = {name.encode() for name in names}
        arguments = [b"peel", *(b"ref-prefix " + name for name in sorted(requested))]
        commits: dict[str, str] = {}
        with _refusal_is_absence(remote.url), self._command(remote, b"ls-refs", arguments) as reader:
            for line in reader.lines():
                object_id, _, rest = line.partition(b" ")
                name, *attributes = rest.split(b" ")
                peeled = next((part[7:] for part in attributes if part.startswith(b"peeled:")), object_id)
                if name in requested and OBJECT_ID.fullmatch(peeled):
                    commits[name.decode()] = peeled.decode()
            reader.finish()
        return commits

    def is_tip(self, remote: Remote, commit: str) -> bool:
        """Return True if a branch or a tag points to the commit (annotated tags peeled).

        Reads the names of all branches and tags. Sends one request.
        """
        is_listed, tip = False, commit.encode()
        arguments = [b"peel", *(b"ref-prefix " + prefix for prefix in TIPS)]
        with _refusal_is_absence(remote.url), self._command(remote, b"ls-refs", arguments) as reader:
            for line in reader.lines():
                object_id, _, rest = line.partition(b" ")
                name, *attributes = rest.split(b" ")
                leads_to = {object_id, *(part[7:] for part in attributes if part.startswith(b"peeled:"))}
                # Servers may list more refs than requested.
                is_listed = is_listed or (tip in leads_to and name.startswith(TIPS))
            reader.finish()
        return is_listed

    def is_empty(self, remote: Remote) -> bool:
        """Return True if the repository has no refs at all, and so no commits. Sends one request."""
        with _refusal_is_absence(remote.url), self._command(remote, b"ls-refs", ()) as reader:
            return next(reader.lines(), None) is None

    def listed(self, remote: Remote, prefixes: Iterable[str]) -> tuple[Ref, ...]:
        """Return all refs with full names that begin with one of `prefixes`. Sends one request. Raises TooManyRefs."""
        arguments = [b"peel", b"symrefs", *(b"ref-prefix " + prefix.encode() for prefix in prefixes)]
        refs: list[Ref] = []
        with _refusal_is_absence(remote.url), self._command(remote, b"ls-refs", arguments) as reader:
            for line in reader.lines():
                refs.append(_ref(line))
                if len(refs) > MOST_REFS:
                    raise TooManyRefs(f"it has more than {MOST_REFS} branches and tags")
            reader.finish()
        return tuple(ref for ref in refs if OBJECT_ID.fullmatch(ref.commit.encode()))

    @contextmanager
    def history(self, remote: Remote, want: str, depth: int) -> Iterator[tuple[tuple[str, ...], Iterator[bytes]]]:
        """Yield the shallow commits, and the bytes of a pack with the commits that lead to `want` and their annotated tags.

        The pack has no trees and no files. Sends one request. Raises Refused.
        """
        arguments = [b"no-progress", b"ofs-delta", b"include-tag", b"filter tree:0", b"deepen %d" % depth]
        shallow: list[str] = []
        with self._command(remote, b"fetch", [*arguments, b"want " + want.encode(), b"done"]) as reader:
            while not (line := reader.line()).startswith(b"packfile"):
                kind, _, commit = line.partition(b" ")
                if kind == b"shallow" and OBJECT_ID.fullmatch(commit):
                    shallow.append(commit.decode())
                if len(shallow) > MOST_REFS:
                    raise Refused("too many shallow commits")
            yield tuple(shallow), reader.band()
            reader.finish()

    @contextmanager
    def pack(self, remote: Remote, want: str, *, depth: int = 0, filtered: str = "") -> Iterator[Iterator[bytes]]:
        """Yield the bytes of a pack with the object `want` and the objects that belong to it. Sends one request.

        Raises Refused if the server has no such object.
        """
        arguments = [b"no-progress", b"ofs-delta", b"want " + want.encode()]
        if depth:
            arguments.append(b"deepen %d" % depth)
        if filtered:
            arguments.append(b"filter " + filtered.encode())
        with self._command(remote, b"fetch", [*arguments, b"done"]) as reader:
            while not reader.line().startswith(b"packfile"):
                pass
            yield reader.band()
            reader.finish()

    @contextmanager
    def _command(self, remote: Remote, name: bytes, arguments: Iterable[bytes]) -> Iterator["_Reader"]:
        body = pkt_line(b"command=" + name + b"\n") + pkt_line(b"object-format=sha1\n") + b"0001"
        body += b"".join(pkt_line(argument + b"\n") for argument in arguments) + b"0000"
        result = f"application/x-{SERVICE}-result"
        headers = {**_with(remote.authorization), "Content-Type": f"application/x-{SERVICE}-request", "Accept": result}
        address = remote.base + SERVICE
        self._check_limits(address, remote.authorization)
        with self._client.stream("POST", address, headers, body) as response:
            self._check(response, address, remote.url, result, remote.authorization)
            yield _Reader(response, remote.url)

    def _check_limits(self, url: str, authorization: str) -> None:
        """Raise HostLimited while the host has this credential wait."""
        self._client.rate_limits.check(url, self._clock.now(), authorization)

    def _check(self, response: BaseHTTPResponse, address: str, url: str, content_type: str, authorization: str) -> None:
        """Raise the error for a response that is not the expected one.

        address: the address of the request. url: the repository's address, for errors.
        """
        message = self._client.record_rate_limit(response, address, self._clock.now(), authorization)
        if missing := refusal(response.status, url, message):
            raise missing
        if response.status != 200:
            raise unexpected_status(responding_host(response, address), response.status)
        if response.headers.get("Content-Type", "").partition(";")[0].strip() != content_type:
            raise _no_server(response, url)


def _ref(line: bytes) -> Ref:
    """Return the ref in a line of ls-refs. Names that are not UTF-8 are not used."""
    object_id, _, rest = line.decode(errors="replace").partition(" ")
    name, *attributes = rest.split(" ")
    values = dict(part.partition(":")[::2] for part in attributes)
    return Ref(name, object_id, values.get("peeled", object_id), values.get("symref-target", ""))


def _no_server(response: BaseHTTPResponse, url: str) -> BadAddress | RepositoryNotFound:
    """Return the error for a response that is not of a git server, such as of a web server over a repository's files."""
    begins = response.read(FILES_LINE_BYTES, decode_content=False)
    return BadAddress(url=url, why=ONLY_FILES) if FILES_LINE.match(begins) else RepositoryNotFound(url=url)


def _with(authorization: str) -> dict[str, str]:
    return {**VERSION_2, "Authorization": authorization} if authorization else {**VERSION_2}


@contextmanager
def _refusal_is_absence(url: str) -> Iterator[None]:
    try:
        yield
    except Refused:
        raise RepositoryNotFound(url=url) from None


class _Reader:
    """Reader of a response's lines.

    Data that is not git's protocol raises HostUnreachable. A refusal of the server raises Refused.
    """

    def __init__(self, response: BaseHTTPResponse, url: str) -> None:
        self._chunks = response.stream(1 << 16, decode_content=False)
        self._buffer = bytearray()
        self._protocol = Protocol(self._read, lambda _: None)
        self._host = parsed(url).host

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size and (chunk := next(self._chunks, b"")):
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def packet(self) -> bytes | None:
        """Return the next packet, or None at the end of a section or of the response."""
        try:
            packet = self._protocol.read_pkt_line()
        except (GitProtocolError, ValueError) as error:
            raise self._garbled() from error
        if packet is not None and packet.startswith(b"ERR "):
            raise Refused(packet[4:].decode(errors="replace").strip())
        return packet

    def line(self) -> bytes:
        """Return the next line, across the ends of sections."""
        for _ in range(3):
            if packet := self.packet():
                return packet.rstrip(b"\n")
        raise self._garbled()

    def lines(self) -> Iterator[bytes]:
        """Yield the lines up to the end of the section."""
        while packet := self.packet():
            yield packet.rstrip(b"\n")

    def band(self) -> Iterator[bytes]:
        """Yield the data channel up to the end of the section."""
        while packet := self.packet():
            if packet[0] == DATA:
                yield packet[1:]
            elif packet[0] == FATAL:
                raise Refused(packet[1:].decode(errors="replace").strip())

    def finish(self) -> None:
        """Read the few bytes that may be left, so that the connection can be used again."""
        for _ in range(4):
            if not next(self._chunks, b""):
                return

    def _garbled(self) -> HostUnreachable:
        return HostUnreachable(host=self._host, why="its answer is not git's protocol, or was cut short")
