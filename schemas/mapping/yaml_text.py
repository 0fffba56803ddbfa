"""YAML that holds nothing but texts, lists and tables, from people the installation does not know.

Belongs here: reading it without surprises. YAML's own guesses are off, because a mapping is about texts: ``No`` stays
the answer "No" and ``12:30`` does not become 750. Does not belong here: what a mapping may say (``mapping_file``).
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_BYTES = 1 << 20
DEEPEST = 12

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPEN = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSE = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlRefused(ValueError):
    """Content that is not read as YAML; the message is a part of a sentence and quotes nothing but a line number."""


class _TextLoader(_BASE):  # type: ignore[misc]
    """The safe loader without its guesses at types, refusing a key that stands twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and the shape are PyYAML's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a table as the safe loader does, after checking that its keys differ."""
        keys = [str(key.value) for key, _ in node.value]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return dict(super().construct_mapping(node, deep=deep))


def parse_texts(content: bytes) -> Any:
    """The one document of ``content`` (UTF-8), every plain value a text; None where there is none.

    Raises YamlRefused for more than ``MOST_BYTES``, bytes that are no text, broken YAML, a key that stands twice in
    one table, tags (``!!int`` asks for more than a text), aliases (a few lines of them unfold to gigabytes), and
    nesting deeper than ``DEEPEST``.
    """
    if len(content) > MOST_BYTES:
        raise YamlRefused("the file is far larger than a mapping is")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise YamlRefused("the file is not UTF-8 text") from None
    try:
        _check_shape(text)
        return _TextLoader(text).get_single_data()
    except yaml.YAMLError as error:
        raise YamlRefused(_where(error)) from None


def _check_shape(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_BASE):
        if isinstance(event, yaml.AliasEvent):
            raise YamlRefused("it uses an alias (*): write the value out")
        if getattr(event, "tag", None) is not None:
            raise YamlRefused("it uses a tag (!): every value is read as text")
        depth += isinstance(event, _OPEN) - isinstance(event, _CLOSE)
        if depth > DEEPEST:
            raise YamlRefused("it is nested too deep")


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}" if mark else ""
    twice = getattr(error, "problem", None) == "a key stands twice"
    return f"a key stands twice in the table{place}" if twice else f"the file is not valid YAML{place}"
