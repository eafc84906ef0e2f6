"""`/api/repoproviders`: the providers as forms and clients want to know them."""

from collections.abc import Iterable

from bindery.ports.repository_provider import Display


def repo_providers(providers: Iterable[tuple[str, Display]]) -> list[dict[str, object]]:
    """BinderHub's list, from (id, display). `ref` is enabled where a spec has one."""
    return [_described(name, display) for name, display in providers]


def _described(name: str, display: Display) -> dict[str, object]:
    ref: dict[str, object] = {"enabled": display.ref_default is not None}
    if display.ref_default is not None:
        ref["default"] = display.ref_default
    told: dict[str, object] = {
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
        told["detect"] = {"regex": display.detect}
    return told
