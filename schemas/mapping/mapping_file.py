"""The mapping file: written by a person in YAML, read strictly, refused with a sentence that says what to mend.

Belongs here: from the bytes of the file to a mapping that may be used. Does not belong here: what a mapping may say
(``mapping_rules``, ``against_form``), or applying it (``apply``).
"""

from __future__ import annotations

from collections.abc import Mapping as Table

from pydantic import ValidationError

from schemas.mapping.against_form import wrong_for_form
from schemas.mapping.mapping_rules import Mapping, MappingFile
from schemas.mapping.yaml_text import YamlRefused, parse_texts

__all__ = ["Mapping", "MappingRefused", "load_mapping"]

_SHOWN = 5  # problems that one sentence names
_DRAFT = "the mapping is a draft: check each line, then set reviewed to true"
_TEXTS_OF_THE_SOURCE = ("values", "blank", "ticked", "not_ticked", "no_box", "one_of", "not_one_of")


class MappingRefused(Exception):
    """A mapping file that cannot be used; the message is one plain sentence and names fields of the mapping only."""


def load_mapping(text: bytes) -> Mapping:
    """The mapping that a file holds. Raises MappingRefused with one sentence that names the fields to mend."""
    try:
        content = parse_texts(text)
    except YamlRefused as refused:
        raise MappingRefused(f"the mapping cannot be used: {refused}") from None
    if not isinstance(content, Table):
        raise MappingRefused("the mapping cannot be used: it is no table of name, version, source, columns and so on")
    if content.get("reviewed") == "false":  # said first: a draft may lack what the other checks ask for
        raise MappingRefused(_DRAFT)
    try:
        rules = MappingFile.model_validate(content)
    except ValidationError as error:
        wrong = [f"{_field(e['loc'])}: {_said(e['msg'])}" for e in error.errors(include_input=False, include_url=False)]
        raise MappingRefused(_sentence(wrong)) from None
    if not rules.reviewed:
        raise MappingRefused(_DRAFT)
    mapping = Mapping(rules, text.decode("utf-8-sig"))
    if wrong := wrong_for_form(mapping):
        raise MappingRefused(_sentence(wrong))
    return mapping


def _field(place: tuple[str | int, ...]) -> str:
    """The field as a path, stopping before texts of the source."""
    parts = [str(part) for part in place if part not in ("[key]",)]
    for owner in _TEXTS_OF_THE_SOURCE:
        if owner in parts:
            parts = parts[: parts.index(owner) + 1]
    return ".".join(part[:64] for part in parts) or "the mapping"


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Extra inputs are not permitted", "no such field")


def _sentence(wrong: list[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"the mapping cannot be used: {'; '.join(wrong[:_SHOWN])}{more}"
