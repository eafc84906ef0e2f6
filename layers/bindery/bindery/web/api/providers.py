"""`/api/repoproviders`: descriptions of the providers for forms and clients."""

from collections.abc import Iterable

from bindery.ports.repository_provider import Display


def repo_providers(providers: Iterable[tuple[str, Display]]) -> list[dict[str, object]]:
    """Return BinderHub's list, from (id, display). `ref` is enabled if the provider's specs have a ref."""
    return [_described(name, display) for name, display in providers]


def _described(name: str, display: Display) -> dict[str, object]:
    ref: dict[str, object] = {"enabled": display.ref_default is not None}
    if display.ref_default is not None:
        ref["default"] = display.ref_default
    description: dict[str, object] = {
        "displayName": display.name,
        "id": name,
        "spec": {"validateRegex": display.regex},
        "repo": {
            "label": display.repo_label,
            "placeholder": display.repo_placeholder,
            "urlEncode": display.url_encode,
        },
        "ref": ref,
    }
    if display.detect is not None:
        description["detect"] = {"regex": display.detect}
    return description
