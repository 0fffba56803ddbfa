"""What a file is, told by its content and never by its name, and the reader that takes it.

Belongs here: the choice of a reader, and the refusal of what no reader takes. Does not belong here: reading records
(one module a format beside this one). Readers are imported only where they are needed: reading CSV loads no other.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from schemas.file_limits import file_limits
from schemas.problems import FileRefused
from warehouse.formats import delimited
from warehouse.formats.block import Source
from warehouse.formats.bounded import Bounded
from warehouse.formats.encoding import Encoded, likely, pieces
from warehouse.formats.unpacked import rewritten, unpacked

OPENING_BYTES = 1 << 20  # how far the key that marks a FHIR resource is looked for
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_DIRECTORY_END = b"PK\x05\x06"
_DIRECTORY_BYTES = 1 << 20  # a workbook lists some dozens of parts
_OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # workbooks before 2007, and protected ones of today
_PARQUET = b"PAR1"
_ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
_TAR_MARK, _TAR_PLACE = b"ustar", 257
_NOT_READ = (
    b"%PDF",
    b"%!PS",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    rb"{\rtf",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
)
_MARKUP = re.compile(r"<[?!a-zA-Z]")
_JSON = re.compile(r"\{|\[\s*[\[{\]\"]")
_RESOURCE = re.compile(r'(?<!\\)"resourceType"\s*:')
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


@contextmanager
def opened_source(path: Path) -> Iterator[Source]:
    """The records of the file at ``path``, whatever its format; gzip is peeled off first.

    Raises FileRefused (empty_file, too_large, packed_too_tightly, packed_twice, broken_file, old_workbook,
    not_a_known_format, and what the reader of the format refuses); its blocks raise too_large and packed_too_tightly.
    """
    with unpacked(path) as file, _read(file, path.parent) as source:
        yield Bounded(source, path.stat().st_size)


@contextmanager
def _read(file: BinaryIO, folder: Path) -> Iterator[Source]:
    """``file`` opened by the reader of its format; ``folder``: for text that has to be rewritten first."""
    opening = file.read(OPENING_BYTES)
    file.seek(0)
    if opening.startswith(_ZIP):
        yield _zipped(file)
    elif opening.startswith(_PARQUET):
        from warehouse.formats.parquet import open_parquet

        yield open_parquet(file)
    else:
        _refuse_binary(opening)
        encoding, start = likely(opening)
        text = opening[start:].decode("latin-1" if encoding == "utf-8" else encoding, "replace").lstrip(" \t\r\n\f\v")
        _refuse_text(text)
        if not _JSON.match(text):
            yield delimited.open_csv(file)
        elif encoding == "utf-8" and not start:
            yield _json(file, text)
        else:
            with rewritten(pieces(file, Encoded(encoding, start), OPENING_BYTES), folder) as recoded:
                yield _json(recoded, text)


def _json(file: BinaryIO, text: str) -> Source:
    if _RESOURCE.search(text):
        from warehouse.formats.questionnaire_response import open_fhir

        return open_fhir(file)
    from warehouse.formats.json_records import open_json

    return open_json(file)


def _zipped(file: BinaryIO) -> Source:
    names = _names_in_zip(file)
    if {"[Content_Types].xml", "xl/workbook.xml"} <= names:
        from warehouse.formats.workbook import open_workbook

        return open_workbook(file)
    if "xl/workbook.bin" in names or {"mimetype", "content.xml"} <= names:
        raise FileRefused("old_workbook")
    raise FileRefused("not_a_known_format" if "[Content_Types].xml" in names else "packed_twice")


def _names_in_zip(file: BinaryIO) -> set[str]:
    """Names of the parts of a ZIP file; its directory is read only if it is as small as a workbook's."""
    size = file.seek(0, 2)
    if size > file_limits()["workbook_bytes"]:
        raise FileRefused("too_large")
    file.seek(max(0, size - (1 << 16) - 22))  # the end of the directory and its comment are no longer than that
    tail = file.read()
    end = tail.rfind(_DIRECTORY_END)
    if end < 0:
        raise FileRefused("broken_file")
    if int.from_bytes(tail[end + 12 : end + 16], "little") > _DIRECTORY_BYTES:
        raise FileRefused("packed_twice")
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as parts:
            return set(parts.namelist())
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise FileRefused("broken_file") from None
    finally:
        file.seek(0)


def _refuse_binary(opening: bytes) -> None:
    if opening.startswith(_OLE2):
        raise FileRefused("old_workbook")
    if opening.startswith(_ARCHIVES) or opening.startswith(_TAR_MARK, _TAR_PLACE):
        raise FileRefused("packed_twice")
    if opening.startswith(_NOT_READ):
        raise FileRefused("not_a_known_format")


def _refuse_text(text: str) -> None:
    """Refuse markup, and bytes that are no text: control signs in the first line, or in a third of the opening.

    A stray one further down belongs to its record and does not keep the file out.
    """
    first_line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    sample = text[:4096]
    if _MARKUP.match(text) or _CONTROL.search(first_line) or len(_CONTROL.findall(sample)) * 3 > len(sample) > 0:
        raise FileRefused("not_a_known_format")
