"""Render pages for people, with headers that restrict them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bindery.ports.repository_provider import Display
from bindery.web.api.providers import repo_providers
from bindery.web.errors.text import encodable, one_line
from bindery.web.pages.assets import hashed

WEB = Path(__file__).parents[1]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
)


@dataclass(frozen=True)
class Page:
    """HTML response."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class LaunchLink:
    """Parts of a launch link.

    spec: as in the link. kind: the provider's name for people. repo_url: the repository's page.
    path: the path in the session that the link opens, from `path_in_session`.
    """

    provider: str
    kind: str
    spec: str
    repo_url: str
    path: str = ""


def launch_page(
    link: LaunchLink,
    build_token: str,
    *,
    autostart: bool = True,
    isolated: bool = True,
    name: str = "Bindery",
    root: str = "",
) -> Page:
    """Return the page of `/v2/<provider>/<spec>`; it launches by itself unless `autostart` is False.

    isolated: False where sessions run as this user on this machine; the page says so. name: this instance's. root: the path that
    Bindery is at.
    """
    page_data = {
        # The browser sends this path back unchanged; only the characters that end a path have to be encoded.
        "build": f"{root}/build/{link.provider}/{link.spec}".replace("?", "%3F").replace("#", "%23"),
        "token": build_token,
        "path": link.path,
        "autostart": autostart,
        "spec": one_line(link.spec, 120),
    }
    values = {
        "link": link,
        "spec": one_line(link.spec),
        "autostart": autostart,
        "isolated": isolated,
        "page_data": page_data,
    }
    return Page(200, HEADERS, _rendered("launch.html", name=name, root=root, **values))


def error_page(status: int, title: str, message: str, *, name: str = "Bindery", root: str = "") -> Page:
    """Return a page that shows an error. message: plain text, its lines kept."""
    return Page(status, HEADERS, _rendered("error.html", name=name, root=root, title=one_line(title), message=message))


def home_page(providers: Sequence[tuple[str, Display]], *, name: str = "Bindery", root: str = "") -> Page:
    """Return the start page: a form that makes links and badges."""
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return Page(200, headers, _rendered("home.html", name=name, root=root, providers=repo_providers(providers)))


def _rendered(template: str, **values: object) -> str:
    return encodable(_templates().get_template(template).render(values))


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(WEB / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["asset"] = hashed
    return templates
