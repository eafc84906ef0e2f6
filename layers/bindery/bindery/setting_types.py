"""Types of settings: validators for each kind of value, with the reason of a refusal."""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr

from bindery.domain.resources import structured
from bindery.domain.rule_pattern import PROVIDERS, check_pattern
from bindery.domain.tokens import SHORTEST_SECRET


def _words(value: object) -> object:
    """Split `a, b` into its words; return any other value unchanged."""
    return tuple(word for part in value.split(",") if (word := part.strip())) if isinstance(value, str) else value


def _is_provider(name: str) -> str:
    """Return a provider's name. Raises ValueError."""
    if name not in PROVIDERS:
        raise ValueError(f"{name!r} is no provider; there are {', '.join(PROVIDERS)}")
    return name


def _is_network(network: str) -> str:
    """Return a network in CIDR notation unchanged. Raises ValueError."""
    ip_network(network, strict=False)
    return network


def _is_address(url: str) -> str:
    """Return a service's address without slashes at its end. Raises ValueError."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("an address begins with https:// or http://")
    return url.rstrip("/")


def _is_token(secret: SecretStr) -> SecretStr:
    """Return a token without the spaces and line breaks that files and copying add at its ends.

    Raises ValueError for other characters that a header's value must not contain.
    """
    text = secret.get_secret_value().strip()
    if not re.fullmatch(r"[\x21-\x7e]*", text):
        raise ValueError("a token has no spaces, no line breaks and no letters but ASCII")
    return SecretStr(text)


def _is_private_name(name: str) -> str:
    """Return the name of a private repository (`gh/owner/name`, `gl/group/.../project`), or of all below an owner. Raises ValueError."""
    if not re.fullmatch(PRIVATE, name) or name.endswith(".git"):
        raise ValueError(
            f"{name!r} should be like gh/owner/name, gh/owner/*, gl/group/project or gl/group/*: no ref, no .git"
        )
    return name


def _is_long(secret: SecretStr) -> SecretStr:
    """Return an empty secret, or one that is long enough to be unguessable. Raises ValueError for a short one."""
    if 0 < len(secret.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f"has to have {SHORTEST_SECRET} random characters or more")
    return secret


def _is_hard_to_guess(secret: SecretStr) -> SecretStr:
    """Return an empty metrics token, or one that is long enough. Raises ValueError for a short one."""
    if 0 < len(secret.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(f"has to have {SHORTEST_TOKEN} random characters or more")
    return secret


def is_domain(url: str) -> str:
    """Return an address with a host that can have subdomains, and without a path. Raises ValueError."""
    if not re.fullmatch(SESSIONS, url):
        raise ValueError("should be like https://sessions.example.org: a name in small letters, and no path after it")
    return url


def _is_registry(url: str) -> str:
    """Return a registry's address: its host, and the prefix of its repositories' names. Raises ValueError."""
    if url and not re.fullmatch(REGISTRY, url):
        raise ValueError("should be like https://quay.io/my-org or http://127.0.0.1:5000/bindery, in small letters")
    return url.rstrip("/")


def _is_login(login: SecretStr) -> SecretStr:
    """Return a registry's user and token unchanged. Raises ValueError."""
    if not re.fullmatch(r"([^:\s]{1,255}:[^\s]{1,1000})?", login.get_secret_value()):
        raise ValueError("should be like user:token")
    return login


SHORTEST_TOKEN = 16
_NAME = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
REGISTRY = rf"https?://[a-z0-9.-]+(:\d{{1,5}})?(/{_NAME})*/?"
IMAGE = r"^([A-Za-z0-9][A-Za-z0-9._:/@-]*)?$"
_STEP = r"/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.-]+"
PRIVATE = rf"gh{_STEP}({_STEP}|/\*)|gl({_STEP})+({_STEP}|/\*)"
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
SESSIONS = (
    rf"https?://({LABEL}\.)*(?!\d+(:|$))({LABEL})(:\d{{1,5}})?"  # excludes IP addresses, which do not end in a name
)
Secret = Annotated[SecretStr, AfterValidator(_is_long)]
Token = Annotated[SecretStr, AfterValidator(_is_token)]
Login = Annotated[SecretStr, AfterValidator(_is_login)]
MetricsToken = Annotated[SecretStr, AfterValidator(_is_token), AfterValidator(_is_hard_to_guess)]
Address = Annotated[str, AfterValidator(_is_address)]
RegistryAddress = Annotated[str, AfterValidator(_is_registry)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
ProviderNames = Annotated[tuple[Annotated[str, AfterValidator(_is_provider)], ...], BeforeValidator(_words)]
PrivateNames = Annotated[tuple[Annotated[str, AfterValidator(_is_private_name)], ...], BeforeValidator(_words)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_is_network)], ...], BeforeValidator(_words)]
Count = Annotated[
    Annotated[int, Field(ge=1)] | None, BeforeValidator(lambda value: None if value in ("", "0", 0) else value)
]
"""Limit; 0 or empty: no limit."""
Pattern = Annotated[str, AfterValidator(check_pattern)]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(structured)]
Addresses = Annotated[dict[str, str], BeforeValidator(structured)]


class SpecQuota(BaseModel):
    """Values that a rule sets for the specs that it matches."""

    quota: int = Field(ge=0)


class SpecConfig(BaseModel):
    """Rule of `spec_rules`, in BinderHub's format."""

    pattern: Pattern
    config: SpecQuota


SpecConfigs = Annotated[tuple[SpecConfig, ...], BeforeValidator(structured)]
