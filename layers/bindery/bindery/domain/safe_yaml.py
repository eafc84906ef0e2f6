"""YAML from strangers: bounded in length, depth and number of nodes before any value is made."""

from typing import Final

LARGEST: Final = 20_000
"""Characters that the control plane parses. libyaml takes a few milliseconds for the worst text of this length."""
LARGEST_ELSEWHERE: Final = 200_000
"""Characters of what the operator wrote, and of what is parsed in a process with limits of its own."""
DEEPEST: Final = 10


class NotPlain(ValueError):
    """The text is not YAML, or could grow. Its words say which, for the file's author."""


def plain_yaml(text: str, largest: int = LARGEST) -> object:
    """Return lists, dictionaries and strings (numbers and dates too are strings), or None for no document.

    An alias may stand for much more than itself, and a merge of aliases for more still, so neither is read.
    largest: the longest text that is parsed, in characters. Raises NotPlain.
    """
    import yaml  # here, since most launches read no YAML

    if len(text) > largest:
        raise NotPlain(f"is over {largest:,} characters")
    loader = getattr(
        yaml, "CBaseLoader", yaml.BaseLoader
    )  # libyaml's parser, about ten times as fast, where it was built
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
