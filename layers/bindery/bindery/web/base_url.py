"""Parse links, build launch paths, and derive Bindery's own address from a request."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from bindery.domain.errors import BadRequest
from bindery.domain.links import plain_spec
from bindery.web.errors.text import encodable

LONGEST_LINK = 4096
IN_PATHS = "/%:@!$&'()*+,;=~"  # characters that stay as they are in a path; encoded characters stay encoded
GATEWAYS_OWN = (".amazonaws.com", ".amazonaws.com.cn")
LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])\.?(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Link:
    """Provider and spec of a link's path, in canonical spelling, percent-encoded."""

    provider: str
    spec: str


def read_link(raw_path: str, prefix: str) -> Link:
    """Return the link of a path such as `/v2/gh/o/r/HEAD`, behind `prefix` (`/v2/`). Raises BadRequest."""
    if len(raw_path) > LONGEST_LINK:
        raise BadRequest(why=f"the link is longer than {LONGEST_LINK} characters")
    path = "/" + raw_path.lstrip("/")
    provider, _, rest = path.removeprefix(prefix).lstrip("/").partition("/")
    spec = plain_spec(provider, rest)
    if not provider or not spec:
        raise BadRequest(why=f"a link looks like {prefix}gh/owner/repository/HEAD")
    return Link(provider, spec)


def launch_path(provider: str, spec: str) -> str:
    """Return the path of the launch page, fit for a header. spec: as in the launched link, or as sent by an API client."""
    return f"/v2/{provider}/" + quote(encodable(spec), safe=IN_PATHS)


@dataclass(frozen=True)
class Own:
    """Address of this Bindery. origin: in the form that browsers send. root: the path that Bindery is at, empty or like `/live`."""

    origin: str
    root: str

    @property
    def address(self) -> str:
        """Return the address with a trailing slash."""
        return f"{self.origin}{self.root}/"

    @classmethod
    def of(cls, public_url: str, scheme: str, host: str, stage: str = "") -> "Own":
        """Return the address from the setting, or else from the request.

        stage: API Gateway's, a part of paths unless the host name is the operator's own.
        """
        if public_url:
            parts = urlsplit(public_url)
            return cls(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"))
        return cls(f"{scheme}://{host}", f"/{stage}" if stage and host.endswith(GATEWAYS_OWN) else "")


def is_loopback(host: str) -> bool:
    """Return True if a `Host` header is one of this machine's own names, with a port or without."""
    return LOOPBACK_HOST.fullmatch(host) is not None
