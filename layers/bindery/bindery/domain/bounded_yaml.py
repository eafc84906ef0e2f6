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
                raise NotPlain(f"line {event.start_mark.line + 1}: aliases (*name) are not read here: write it out")
            if depth > DEPTH:
                raise NotPlain(f"line {event.start_mark.line + 1}: is nested more than {DEPTH} deep")
        loaded: object = yaml.BaseLoader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotPlain(f"is not YAML (line {mark.line + 1})" if mark else "is not YAML") from None
    return loaded
