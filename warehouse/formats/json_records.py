"""JSON and JSON lines: each object a record, each member a cell.

Belongs here: which values of a JSON file are records. Does not belong here: taking JSON text apart (``json_stream``),
FHIR resources (``questionnaire_response``).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from sys import intern
from typing import BinaryIO

from schemas.file_limits import file_limits
from schemas.form import questions
from schemas.problems import FileRefused
from warehouse.formats.block import Source
from warehouse.formats.gathered import Gathered, Record, columns_seen, header_of
from warehouse.formats.json_stream import Outline, outline, values
from warehouse.formats.json_values import Parsed, deeper_than
from warehouse.formats.rendering import cell_text


def open_json(file: BinaryIO) -> Source:
    """An array of objects, one object, JSON lines, or an object that holds the records in its one array of objects.

    ``file``: seekable, UTF-8, UTF-16 or UTF-32 with or without byte order mark. Columns are the union of the names,
    in order of first sight. Raises FileRefused (empty_file, not_a_known_format, broken_file, nested_too_deep,
    too_many_columns; the code of the first record where every record is broken).
    """
    shape = outline(file)
    if shape.kind == "lines":
        refuse_unless_lines(file, shape)
    records = partial(_records, file, shape)
    columns = columns_seen(records())
    return Gathered(header_of(columns, "json", shape.encoding), records)


def refuse_unless_lines(file: BinaryIO, shape: Outline) -> None:
    """Raise FileRefused (broken_file) for a broken document that is not JSON lines at all.

    One broken line does not make the file broken; but a document cut short also has lines, and most of them, with
    the first, are no objects.
    """
    objects = [isinstance(line.value, dict) or line.code == "too_long" for line in values(file, shape)]
    if not objects[0] and sum(objects) * 2 <= len(objects):
        raise FileRefused("broken_file")


def _records(file: BinaryIO, shape: Outline) -> Iterator[Record]:
    return map(_record, values(file, shape, _member(shape)))


def _member(shape: Outline) -> str:
    """The member that holds the records; '' where the object is itself a record of the form."""
    is_record = any(name in questions() for name in shape.members)
    return shape.arrays[0] if len(shape.arrays) == 1 and not is_record else ""


def _record(parsed: Parsed) -> Record:
    if parsed.code:
        return Record(parsed.text, {}, parsed.code)
    if not isinstance(parsed.value, dict) or deeper_than(parsed.value, file_limits()["nesting"]):
        return Record(parsed.text, {}, "bad_json")
    # Interned names: the parser makes the same names anew for every record, and a block holds many records.
    cells = {intern(name): item if type(item) is str else cell_text(item) for name, item in parsed.value.items()}
    return Record(parsed.text, cells)
