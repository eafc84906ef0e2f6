"""Parser for untrusted YAML: length, depth and number of nodes are limited before any value is created."""

from typing import Final

LARGEST: Final = 20_000
"""Limit in characters for the control plane. libyaml takes a few milliseconds for the worst text of this length."""
LARGEST_ELSEWHERE: Final = 200_000
"""Limit in characters for text from the operator, and for text that is parsed in a process with its own limits."""
DEEPEST: Final = 10


class NotPlain(ValueError):
    """The text is not YAML, or could expand while it is parsed. The message gives the reason to the file's author."""


def plain_yaml(text: str, largest: int = LARGEST) -> object:
    """Return lists, dictionaries and strings (numbers and dates too are strings), or None for no document.

    Aliases and merges of aliases can expand to much larger values, so both are refused.
    largest: the maximum length of the text in characters. Raises NotPlain.
    """
    import yaml  # imported here because most launches read no YAML

    if len(text) > largest:
        raise NotPlain(f"is over {largest:,} characters")
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's parser, if available, is about ten times as fast
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise NotPlain(f"uses an alias (*name), which is not read here: write it out{_where(event.start_mark)}")
            if depth > DEEPEST:
                raise NotPlain(f"is nested more than {DEEPEST} deep{_where(event.start_mark)}")
        loaded: object = loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise NotPlain(f"is not YAML{_where(getattr(error, 'problem_mark', None))}") from None
    return loaded


def _where(mark: object) -> str:
    line = getattr(mark, "line", None)
    return "" if line is None else f" (line {line + 1})"
