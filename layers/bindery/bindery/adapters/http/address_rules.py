"""Rules for the addresses that the guarded client may request. The rules do no DNS lookup."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from bindery.domain.errors import BadAddress, ForbiddenAddress

# `is_global` is not used: its result differs between Python versions. These networks are refused in every version.
REFUSED_4 = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; one cloud keeps its metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # another cloud's platform service, on a public address
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
GLOBAL_6 = IPv6Network("2000::/3")
REFUSED_6 = tuple(
    IPv6Network(net)
    for net in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
NAT64 = IPv6Network("64:ff9b::/96")
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Characters that urlsplit drops or reinterprets, and characters that need quoting in a configuration file.
UNCLEAN = re.compile(r"[^\x21-\x7e]|[\"\\<>^`{|}]")
PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2000
logger = logging.getLogger("bindery")


@dataclass(frozen=True)
class Address:
    """Parts of a checked URL. host: lower case, without brackets or trailing dot."""

    scheme: str
    host: str
    port: int


def parsed(url: str) -> Address:
    """Return the URL's parts. Raises BadAddress unless it is an http or https URL in a plain spelling without credentials."""
    if len(url) > LONGEST_URL:
        raise BadAddress(url=without_user(url), why=f"it is longer than {LONGEST_URL} characters")
    if UNCLEAN.search(url):
        raise BadAddress(url=without_user(url), why="it holds characters that no address has")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadAddress(url=without_user(url), why="it cannot be read") from None
    if parts.scheme not in PORTS:
        raise BadAddress(url=without_user(url), why="only http and https addresses can be fetched")
    if "@" in parts.netloc:
        raise BadAddress(url=without_user(url), why="it carries a user or password")
    if ("[" in parts.netloc) != (":" in host):
        raise BadAddress(url=url, why="its host is not an IPv6 address")
    _check_host(host, url)
    return Address(parts.scheme, host.rstrip("."), PORTS[parts.scheme] if port is None else port)


def without_user(url: str) -> str:
    """Return the URL for display: at most 200 characters, without a possible password, in valid Unicode."""
    # A regular expression takes minutes for a long URL. Cutting comes last: half a password is not recognized as one.
    display = "/".join(part.rpartition("@")[2] for part in url.split("/"))
    return display[:200].encode(errors="replace").decode()


def path_in(url: str) -> str:
    """Return the percent-encoded path of an address that a host sent; empty if the address cannot be parsed."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def canonical(url: str) -> str:
    """Return the canonical spelling of a clone address: the path is decoded, and one trailing `.git` is removed. Raises BadAddress.

    Only one `.git` is removed: git's own server serves `r` and `r.git` as one repository, and `r.git.git` is another repository.
    """
    address = parsed(url)
    host = f"[{IPv6Address(address.host)}]" if ":" in address.host else address.host
    port = "" if address.port == PORTS[address.scheme] else f":{address.port}"
    path = urlsplit(url).path
    while (plain := unquote(path)) != path:
        path = plain
    steps: list[str] = []
    for step in path.split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in {"", "."}:
            steps.append(step)
    place = "/".join(steps)
    place = place[:-4] if place.lower().endswith(".git") else place
    return f"{address.scheme}://{host}{port}/{place}".rstrip("/")


def check_one_spelling(url: str) -> None:
    """Raise BadAddress for a path that a server may read differently than `canonical` does.

    The operator's rules are compared with the canonical address, but the server gets the address of the link.
    """
    quoted = urlsplit(url).path
    if not _is_utf8(unquote_to_bytes(quoted)):  # else one name would stand for all invalid byte sequences
        raise BadAddress(url=without_user(url), why="it is not valid UTF-8")
    path = unquote(quoted)
    if unquote(path) != path:
        raise BadAddress(url=without_user(url), why="its path is percent-encoded twice")
    if any(step in {".", ".."} for step in re.split(r"[/\\]", path)):
        raise BadAddress(url=without_user(url), why="its path has steps such as .. in it")
    if path.count("/") != quoted.count("/"):  # only some servers read it as a slash
        raise BadAddress(url=without_user(url), why="its path has a slash that is percent-encoded twice, %252F")


def lower_ascii(name: str) -> str:
    """Return the lower-case name for servers that ignore case; only ASCII letters change."""
    return name.encode().lower().decode()


def without_git(path: str) -> str:
    """Return the path without trailing `.git` suffixes, in any case and number."""
    while path.lower().endswith(".git"):
        path = path[:-4].rstrip("/")
    return path


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeError:
        return False
    return True


def _check_host(host: str, url: str) -> None:
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise BadAddress(url=url, why="its host is not an IPv6 address") from None
        if "%" in host:
            raise BadAddress(url=url, why="an IPv6 zone means nothing here")
        return
    name = host.removesuffix(".")
    if len(name) > 253 or not NAME.fullmatch(name):
        raise BadAddress(url=url, why="its host is not a name (international names are written xn--...)")
    if NUMBER.fullmatch(name.rpartition(".")[2]) and not _plain_ipv4(name):
        raise BadAddress(url=url, why="its host is a number in an odd spelling")


def _plain_ipv4(name: str) -> bool:
    try:
        return str(IPv4Address(name)) == name
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Return True if an address from a resolver is certainly on the public internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return False
        inner = ip.ipv4_mapped or (IPv4Address(ip.packed[12:]) if ip in NAT64 else None)
        if inner is None:
            return ip in GLOBAL_6 and not any(ip in net for net in REFUSED_6)
        ip = inner
    return not any(ip in net for net in REFUSED_4)


class AddressRules:
    """Rules for permitted addresses. allowed: `host` or `host:port` entries that skip the address and port checks (IPv6: `[::1]:80`)."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(entry.strip().lower() for entry in allowed if entry.strip())

    def allows(self, host: str, port: int) -> bool:
        plain = host.strip("[]").rstrip(".").lower()
        return not self._allowed.isdisjoint({plain, _bracketed(plain), f"{_bracketed(plain)}:{port}"})

    def allows_url(self, url: str) -> bool:
        """Return True for an address at an allowed host; False also if it is not a web address."""
        try:
            address = parsed(url)
        except BadAddress:
            return False
        return self.allows(address.host, address.port)

    def check(self, url: str) -> Address:
        """Return the URL's parts. Raises BadAddress or ForbiddenAddress if it is refused before any DNS lookup."""
        address = parsed(url)
        if self.allows(address.host, address.port):
            return address
        if address.port not in PORTS.values() and address.port < 1024:
            raise BadAddress(url=url, why=f"port {address.port} is not one of a web server")
        if (":" in address.host or _plain_ipv4(address.host)) and not is_public(address.host):
            raise _forbidden(address.host, address.port)
        return address

    def check_resolved(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Raise ForbiddenAddress unless the host is allowed or all its resolved addresses are public."""
        if not self.allows(host, port) and not all(is_public(address) for address in addresses):
            raise _forbidden(host, port)


def _forbidden(host: str, port: int) -> ForbiddenAddress:
    """Return the error for the visitor, and log for the operator the setting that allows the host.

    The setting is not in the error: a visitor cannot change it.
    """
    entry = f"{_bracketed(host)}:{port}"
    logger.warning(
        "No request to %s: it is private or reserved. BINDERY_ALLOWED_PRIVATE_HOSTS=%s allows it.", host, entry
    )
    return ForbiddenAddress(host=host)


def _bracketed(host: str) -> str:
    """Return the host as written before a port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
