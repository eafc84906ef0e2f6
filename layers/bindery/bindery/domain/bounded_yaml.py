"""YAML from strangers: read only if it cannot grow while it is read."""

CHARACTERS, DEPTH = 200_000, 10


class NotPlain(ValueError):
    """The text is not YAML, or could grow. Its words say which, for the file's author."""


def plain_yaml(text: str) -> object:
    """Lists, dictionaries and strings (numbers and dates too are strings), or None for no document. Raises NotPlain.

    An alias may stand for much more than itself, and a merge of aliases for more still, so neither is read.
    """
    import yaml  # here, since most launches read no YAML

    if len(text) > CHARACTERS:
        raise NotPlain(f"is over {CHARACTERS:,} characters")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise NotPlain(f"uses an alias (*name), which is not read here: write it out{_where(event.start_mark)}")
            if depth > DEPTH:
                raise NotPlain(f"is nested more than {DEPTH} deep{_where(event.start_mark)}")
        loaded: object = yaml.BaseLoader(text).get_single_data()
    except yaml.YAMLError as error:
        raise NotPlain(f"is not YAML{_where(getattr(error, 'problem_mark', None))}") from None
    return loaded


def _where(mark: object) -> str:
    line = getattr(mark, "line", None)
    return "" if line is None else f" (line {line + 1})"
