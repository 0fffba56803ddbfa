"""How the stated answers of one clinic lie on the disk: a manifest, and segments that are never changed.

Belongs here: what the copy's reader and its writer have to agree on, and knowing a whole segment from a damaged one.
Does not belong here: making segments (``warehouse.answers_writing``), what a reader is given
(``warehouse.answers_copy``).

A segment is one SQLite file with the table ``version``, one row a record version: its rows are found by the id of their
record in a part of a millisecond, where a file of three hundred columns takes many to open. A row packs the yes/no
answers into two bits each (stated; yes), writes the others as text, and has a checksum, so that no damaged row is ever
shown. The manifest names the segments and is replaced by rename. Light: it imports neither DuckDB nor pyarrow.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from schemas.answers import KEY_PATTERNS
from schemas.form import FREE_TEXT_COLUMN, REQUIRED_COLUMNS, Question, form
from warehouse.home import Home
from warehouse.snapshot_files import is_whole

FORMAT = 1
MANIFEST = "manifest.json"
BETWEEN = "\x1f"  # between two answers of a row; no answer but the note may hold it
# Columns of ``version``. Times are microseconds since 1970 in UTC. ``record_schema`` has their meaning.
COLUMNS = {
    "record_id": "TEXT",
    "submitted_at": "INTEGER",
    "intake_hash": "TEXT",
    "data_kind": "TEXT",
    "received_at": "INTEGER",
    "has_notes": "INTEGER",
    "warnings": "TEXT",
    "others": "TEXT",
    "yes_or_no": "BLOB",
    "note": "TEXT",
    "checksum": "INTEGER",
}
_SEGMENT = re.compile(r"[0-9a-f]{16}\.db")


class ManifestUnusable(Exception):
    """There is no manifest, or it is damaged or of another version of the program or the form."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a clinic's copy, as its manifest tells: name, size, SHA-256, rows, and what they were made from.

    ``batches``: for each batch how many versions it had and a fingerprint of them, as the warehouse said then.
    """

    file: str
    bytes: int
    sha256: str
    rows: int
    batches: Mapping[str, tuple[int, str]]

    def is_whole(self, folder: Path) -> bool:
        """Whether every byte is there as it was written. Reads the file."""
        return is_whole(folder / self.file, {"bytes": self.bytes, "sha256": self.sha256})


def folder_of(home: Home, clinic: str) -> Path | None:
    """The folder of a clinic's copy, None where ``clinic`` is no clinic id: no path can be chosen by it."""
    return home.answers / clinic if re.fullmatch(KEY_PATTERNS["clinic_id"], clinic) else None


@cache
def yes_or_no_columns() -> tuple[str, ...]:
    """Columns packed into bits, in the order of the bits."""
    return tuple(question.column for question in form() if question.type == "yesno")


@cache
def other_questions() -> tuple[Question, ...]:
    """Questions whose answers are text in a row, each named there by its place in this list."""
    return tuple(q for q in form() if q.type != "yesno" and q.column not in (*REQUIRED_COLUMNS, FREE_TEXT_COLUMN))


@cache
def shape() -> str:
    """A hash of the form's columns and their types: segments of another form are made anew."""
    named = "\n".join(f"{question.column} {question.type}" for question in form())
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def checksum(values: tuple[object, ...]) -> int:
    """CRC-32 of a row without its checksum, in the order of COLUMNS."""
    return zlib.crc32(BETWEEN.join(map(str, values)).encode("utf-8", "surrogatepass"))


def read_manifest(folder: Path) -> list[Segment]:
    """The segments of a clinic's copy. Raises ManifestUnusable."""
    try:
        said = json.loads((folder / MANIFEST).read_text("utf-8"))
        if (said["format"], said["shape"]) != (FORMAT, shape()):
            raise ManifestUnusable
        segments = [_segment(one) for one in said["segments"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ManifestUnusable from None
    if not all(_SEGMENT.fullmatch(segment.file) for segment in segments):
        raise ManifestUnusable
    return segments


def _segment(said: Mapping[str, Any]) -> Segment:
    batches = {batch: (int(rows), str(fingerprint)) for batch, (rows, fingerprint) in said["batches"].items()}
    return Segment(said["file"], said["bytes"], said["sha256"], said["rows"], batches)


def manifest_text(segments: list[Segment]) -> str:
    """The manifest that names these segments."""
    return json.dumps({"format": FORMAT, "shape": shape(), "segments": [asdict(segment) for segment in segments]})


def is_at_hand(home: Home, clinic: str) -> bool:
    """Whether a clinic's copy is there with every byte of its segments. Reads all of them."""
    folder = folder_of(home, clinic)
    if folder is None:
        return False
    try:
        return all(segment.is_whole(folder) for segment in read_manifest(folder))
    except ManifestUnusable:
        return False
