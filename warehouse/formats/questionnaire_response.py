"""FHIR R4 QuestionnaireResponse: each response a record, each linkId a column.

Belongs here: finding the responses in a file and flattening their items and answers. Does not belong here: which
linkId is which column of the form, and what a ticked box means (``schemas.mapping``).
Element names and types: HL7 FHIR R4 (4.0.1), QuestionnaireResponse.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

from schemas.file_limits import file_limits
from warehouse.formats.block import SEVERAL, Source
from warehouse.formats.gathered import Gathered, Record, columns_seen, header_of
from warehouse.formats.json_records import refuse_unless_lines
from warehouse.formats.json_stream import Outline, outline, values
from warehouse.formats.json_values import Parsed, deeper_than
from warehouse.formats.rendering import cell_text, json_text

RESOURCE = "QuestionnaireResponse"
ABOUT = tuple(f"{RESOURCE}.{name}" for name in ("id", "status", "authored", "identifier", "subject", "questionnaire"))
WITHOUT_LINK_ID = "item without linkId"
_LEVELS_OF_JSON = 4  # an item nested in an answer lies this many levels of JSON below the item that holds the answer


class _Unreadable(Exception):
    """The response is not shaped as FHIR says."""


def open_fhir(file: BinaryIO) -> Source:
    """One response, a Bundle or an array of them, or one a line; resources of other types are no records.

    ``file``: seekable, JSON. Columns: ``ABOUT``, then every linkId in order of first sight. All answers of a linkId
    in a response stand in one cell, with ``SEVERAL`` between them.
    Raises FileRefused (empty_file, not_a_known_format, broken_file, nested_too_deep, too_many_columns; the code of
    the first record where every record is broken).
    """
    shape = outline(file)
    if shape.kind == "lines":
        refuse_unless_lines(file, shape)
    records = partial(_records, file, shape)
    columns = columns_seen(records(), ABOUT)
    return Gathered(header_of(columns, "fhir", shape.encoding), records)


def _records(file: BinaryIO, shape: Outline) -> Iterator[Record]:
    in_bundle = shape.kind_of_resource == "Bundle" and "entry" in shape.members
    for parsed in values(file, shape, "entry" if in_bundle else ""):
        yield from _records_of(parsed, entry=in_bundle)


def _records_of(parsed: Parsed, *, entry: bool) -> Iterator[Record]:
    """The responses in one value of the file: itself, or those of a Bundle that is an item or a line."""
    levels = _LEVELS_OF_JSON * (file_limits()["nesting"] + 1)
    if parsed.code or not isinstance(parsed.value, dict) or deeper_than(parsed.value, levels):
        yield Record(parsed.text, {}, parsed.code or "bad_json")
        return
    if not entry:
        yield from _record(parsed.value, parsed.text)
    elif "resource" in parsed.value:
        yield from _record(parsed.value["resource"], parsed.text)


def _record(resource: Any, text: str) -> Iterator[Record]:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if kind == "Bundle":
        for entry in resource.get("entry") or ():
            inner = entry.get("resource") if isinstance(entry, dict) else entry
            if inner is not None:
                yield from _record(inner, json_text(inner))
    elif kind == RESOURCE:
        try:
            code = "entered_in_error" if resource.get("status") == "entered-in-error" else ""
            yield Record(text, {} if code else _cells(resource), code)
        except _Unreadable:
            yield Record(text, {}, "bad_json")
    elif not isinstance(kind, str):
        yield Record(text, {}, "bad_json")


def _cells(response: dict[str, Any]) -> dict[str, str | None]:
    answers: dict[str, list[str]] = {}
    for link_id, answer in _answers(response):
        answers.setdefault(link_id, []).append(answer)
    if not answers.keys().isdisjoint(ABOUT):
        raise _Unreadable
    about = (
        cell_text(response.get("id")),
        cell_text(response.get("status")),
        cell_text(response.get("authored")),
        _identifier(response.get("identifier")),
        _subject(response.get("subject")),
        cell_text(response.get("questionnaire")),
    )
    return dict(zip(ABOUT, about, strict=True)) | {name: SEVERAL.join(several) for name, several in answers.items()}


def _answers(response: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """linkId and text of every answer, in the order of the response; each item before the items it holds."""
    waiting = [(item, 1) for item in reversed(_objects(response, "item"))]
    while waiting:
        item, level = waiting.pop()
        if level > file_limits()["nesting"]:
            raise _Unreadable
        link_id = item.get("linkId")
        inner = []
        for answer in _objects(item, "answer"):
            if (text := _answer(answer)) is not None:
                yield (link_id if isinstance(link_id, str) and link_id else WITHOUT_LINK_ID), text
            inner += _objects(answer, "item")
        inner += _objects(item, "item")
        waiting += [(one, level + 1) for one in reversed(inner)]


def _objects(element: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = element.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _Unreadable
    return found


def _answer(answer: dict[str, Any]) -> str | None:
    """The text of an answer; None where it has no value, or only extensions that say why there is none."""
    given = [(name, value) for name, value in answer.items() if name.startswith("value") and value is not None]
    if not given:
        return None
    if len(given) > 1:
        raise _Unreadable
    name, value = given[0]
    if not isinstance(value, dict):
        return cell_text(value)
    if value.keys() <= {"id", "extension"}:
        return None
    match name:
        case "valueCoding":
            text = _first(value, "code", "display")
        case "valueQuantity":
            return _quantity(value)
        case "valueReference":
            text = _first(value, "reference", "display") or _identifier(value.get("identifier"))
        case "valueAttachment":
            text = _first(value, "title", "url")
        case _:
            text = None
    return text if text is not None else json_text(value)


def _quantity(value: dict[str, Any]) -> str | None:
    number = cell_text(value.get("value"))
    if number is None:
        return None
    unit = _first(value, "unit", "code")
    return f"{_first(value, 'comparator') or ''}{number}{f' {unit}' if unit else ''}"


def _first(element: dict[str, Any], *names: str) -> str | None:
    return next((cell_text(element[name]) for name in names if element.get(name) not in (None, "")), None)


def _identifier(identifier: Any) -> str | None:
    value = cell_text(identifier.get("value") if isinstance(identifier, dict) else identifier)
    return value if value is None else _without_scheme(value)


def _without_scheme(name: str) -> str:
    """The name itself of a URN, which Bundles refer by: a colon is no sign that a key may hold."""
    return name.removeprefix("urn:uuid:").removeprefix("urn:oid:")


def _subject(subject: Any) -> str | None:
    """The id in the reference, else the value of the identifier.

    '7' of 'Patient/7' and of 'https://example.org/Patient/7/_history/2'; '0c3f' of 'urn:uuid:0c3f'.
    """
    if not isinstance(subject, dict):
        return cell_text(subject)
    reference = cell_text(subject.get("reference"))
    if reference:
        return _without_scheme(reference.partition("/_history/")[0].rpartition("/")[2])
    return _identifier(subject.get("identifier"))
