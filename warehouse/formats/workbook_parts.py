"""The parts of an Excel workbook's zip archive, checked before any of them is parsed.

Belongs here: size, packing, damage, protection, and XML that would harm its reader. Does not belong here: cells
(``workbook``). Every part is unpacked once in small pieces, so that damage shows before the first record is given.
"""

from __future__ import annotations

import re
import zlib
from typing import BinaryIO
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from schemas.file_limits import file_limits
from schemas.problems import FileRefused

OLD_OR_PROTECTED = bytes.fromhex("d0cf11e0a1b11ae1")  # the container of .xls files and of encrypted .xlsx files
PARTS = 10_000
LARGE_PART = 16 << 20  # the packing ratio is judged from this size on: small parts pack tightly and harm nobody
PIECE = 1 << 20
MARKS = 20_000_000  # markup signs of parts that are held whole in memory, such as the table of shared strings
_ENCRYPTED = 0x1
_STRICT = b"http://purl.oclc.org/ooxml/"
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?\bref\s*=\s*[\"']([^\"']{1,64})[\"']")
_OVERLAP = 256
_LAST_ROW = re.compile(r"[0-9]+$")


def checked_archive(file: BinaryIO) -> ZipFile:
    """The archive, once all of its parts are found sound and of a size that can be read.

    Raises FileRefused (old_workbook, broken_file, packed_twice, not_a_known_format, too_large, packed_too_tightly).
    """
    file.seek(0)
    if file.read(len(OLD_OR_PROTECTED)) == OLD_OR_PROTECTED:
        raise FileRefused("old_workbook")
    file.seek(0)
    try:
        archive = ZipFile(file)
        _check_directory(archive.infolist())
        for part in archive.infolist():
            _check_part(archive, part)
    except (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
        raise FileRefused("broken_file") from None
    return archive


def merged_below(archive: ZipFile, part: str, row: int) -> bool:
    """Whether the sheet stored as ``part`` has merged cells that reach below ``row``."""
    before = b""
    with archive.open(part) as stream:
        while piece := stream.read(PIECE):
            text = before + piece
            for match in _MERGED.finditer(text):
                last = _LAST_ROW.search(match[1].decode("ascii", "replace"))
                if last is None or int(last[0]) > row:
                    return True
            before = text[-_OVERLAP:]
    return False


def _check_directory(parts: list[ZipInfo]) -> None:
    names = [part.filename for part in parts]
    if "[Content_Types].xml" not in names:
        raise FileRefused("packed_twice")
    if "xl/workbook.bin" in names:
        raise FileRefused("old_workbook")
    if not any(name.startswith("xl/") for name in names):
        raise FileRefused("not_a_known_format")
    if len(parts) > PARTS or len(set(names)) < len(names):
        raise FileRefused("broken_file")
    if sum(part.file_size for part in parts) > file_limits()["workbook_bytes"]:
        raise FileRefused("too_large")
    for part in parts:
        if part.flag_bits & _ENCRYPTED:
            raise FileRefused("old_workbook")
        # Other packings have no bound on what one read unpacks; no spreadsheet program writes them.
        if part.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise FileRefused("broken_file")
        packed = max(part.compress_size, 1)
        if part.file_size > LARGE_PART and part.file_size / packed > file_limits()["compression_ratio"]:
            raise FileRefused("packed_too_tightly")


def _check_part(archive: ZipFile, part: ZipInfo) -> None:
    is_sheet = part.filename.startswith("xl/worksheets/")
    marks = 0
    with archive.open(part) as stream:
        first = piece = stream.read(PIECE)
        _check_start(first)
        if part.filename == "xl/workbook.xml" and _STRICT in first:
            raise FileRefused("old_workbook")
        while piece:
            # One sign of markup as long as this makes the XML parser start over at each read; no cell is so long.
            if len(piece) == PIECE and b">" not in piece:
                raise FileRefused("broken_file")
            marks += 0 if is_sheet else piece.count(b"<")
            piece = stream.read(PIECE)
    if marks > MARKS:
        raise FileRefused("too_large")


def _check_start(start: bytes) -> None:
    """Refuse XML with a document type (entities can grow without bound) or in another encoding than UTF-8."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or (start[:1] == b"\0" and start[1:2] == b"<") or start[:2] == b"<\0":
        raise FileRefused("broken_file")

    def refuse(*_: object) -> None:
        raise FileRefused("broken_file")

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "us-ascii"):
            refuse()

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.XmlDeclHandler = declared
    parser.StartElementHandler = _reached_root
    try:
        parser.Parse(start[:PIECE], False)
    except (_RootReached, expat.ExpatError, ValueError):
        return  # what is no XML is either not read at all or found out when it is
    if len(start) == PIECE:
        refuse()  # a document type may still stand behind so much of comments


class _RootReached(Exception):
    """The document type can only stand before the first element."""


def _reached_root(*_: object) -> None:
    raise _RootReached
