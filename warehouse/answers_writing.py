"""Making the treating clinics' copy of stated answers: in step with what is published, at the cost of what is new.

Belongs here: which segments still say what the warehouse says, which batches go into a new one, and writing it. Does
not belong here: reading (``warehouse.answers_copy``), the files' layout (``warehouse.answers_segments``).

A segment is kept as long as it has every byte and each of its batches is in the warehouse as it was; everything else is
written anew from the warehouse. So what came in or was replayed appears, what was hidden or erased goes (the file that
held it is removed, not marked), a damaged file is mended, and a process that was killed leaves nothing that the next
publication does not end. A new segment takes the small ones into itself: each that stays is at least twice as large
as the next, so a clinic has few, and a row is written anew about as often as its clinic's records double.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from warehouse.answers_segments import (
    COLUMNS,
    MANIFEST,
    ManifestUnusable,
    Segment,
    checksum,
    folder_of,
    is_at_hand,
    manifest_text,
    other_questions,
    read_manifest,
    yes_or_no_columns,
)
from warehouse.disk import sha256_of, sync
from warehouse.finding import Finding
from warehouse.home import Home
from warehouse.snapshot_reading import Snapshot
from warehouse.store import NoRoom, WarehouseRefused, opened

HALF = ".half-"
ROWS_AT_ONCE = 20_000
_PURPOSE = "copy stated answers"
_Batches = Mapping[str, tuple[int, str]]


def bring_up_to_date(home: Home) -> None:
    """Let the copy hold every version of every record that may be shown, and nothing else.

    The caller holds the warehouse lock. Raises WarehouseBusy, WarehouseRefused (also for want of room).
    """
    with opened(home, _PURPOSE) as connection:
        clinics: dict[str, dict[str, tuple[int, str]]] = {}
        found = connection.execute(
            "SELECT clinic_id, batch_id, count(*), sum(hash(record_id, intake_hash))::VARCHAR FROM intake_shown "
            "GROUP BY clinic_id, batch_id ORDER BY clinic_id, batch_id"
        ).fetchall()
        for clinic, batch_id, rows, fingerprint in found:
            clinics.setdefault(clinic, {})[batch_id] = (rows, fingerprint)
        for clinic, batches in clinics.items():
            # One that could name another folder is no clinic id; the publication refuses it.
            if folder := folder_of(home, clinic):
                _bring_up_to_date(connection, folder, clinic, batches)
    _remove_others(home, clinics)


def not_at_hand(home: Home, snapshot: Snapshot) -> list[str]:
    """Clinics of a snapshot whose answers are missing or damaged. Reads every byte of the copy."""
    with_records = [name for name in snapshot.clinics if snapshot.manifest["clinics"][name]["rows"]["referrals"]]
    return [clinic for clinic in with_records if not is_at_hand(home, clinic)]


def finding(home: Home, snapshot: Snapshot) -> Finding:
    """For ``hiptriage doctor``: whether the page can show what every referral of the current snapshot rests on.

    What is not made yet, as after a restore, is noted; what was made and is not whole any more is wrong.
    """
    missing = not_at_hand(home, snapshot)
    if missing:
        damaged = any((home.answers / clinic).exists() for clinic in missing)
        return Finding(
            "wrong" if damaged else "note",
            f"stated answers are not at hand, the page cannot show them: {', '.join(missing)}; hiptriage run makes "
            "them again",
        )
    return Finding("ok", "the clinics' copy of stated answers is there with every byte")


def _bring_up_to_date(connection: duckdb.DuckDBPyConnection, folder: Path, clinic: str, batches: _Batches) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.glob(f"{HALF}*"):
        left.unlink()
    try:
        before = read_manifest(folder)
    except ManifestUnusable:
        before = []
    kept = [
        segment
        for segment in before
        if all(batches.get(batch) == said for batch, said in segment.batches.items()) and segment.is_whole(folder)
    ]
    held = {batch for segment in kept for batch in segment.batches}
    new = {batch: said for batch, said in batches.items() if batch not in held}
    kept, new = with_small_ones(kept, new)
    if new:
        kept.append(_written(connection, folder, clinic, new))
    if new or len(kept) < len(before):
        _replace_manifest(folder, kept)
    # What no manifest names was left by a killed process, or holds what is to be shown no more.
    named = {MANIFEST, *(segment.file for segment in kept)}
    for entry in folder.iterdir():
        if entry.name not in named:
            entry.unlink()
    sync(folder)


def with_small_ones(kept: list[Segment], new: _Batches) -> tuple[list[Segment], dict[str, tuple[int, str]]]:
    """Which of the segments stay, and the batches of a new one: those of ``new`` and of segments not twice as large.

    Nothing is merged where nothing is new.
    """
    batches = dict(new)
    rows = sum(count for count, _ in new.values())
    stay = sorted(kept, key=lambda segment: segment.rows, reverse=True)
    while new and stay and stay[-1].rows < 2 * rows:
        smallest = stay.pop()
        batches |= smallest.batches
        rows += smallest.rows
    return stay, batches


def _written(connection: duckdb.DuckDBPyConnection, folder: Path, clinic: str, batches: _Batches) -> Segment:
    """A new segment with the versions of these batches, whole on the disk and named by no manifest yet."""
    file = folder / f"{secrets.token_hex(8)}.db"
    half = folder / f"{HALF}{file.name}"
    half.touch(mode=0o600)
    try:
        rows = _fill(connection, half, clinic, list(batches))
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise NoRoom(_PURPOSE) from None
        raise WarehouseRefused(f"stated answers could not be copied ({error.sqlite_errorname})") from None
    sync(half)
    half.rename(file)
    sync(folder)
    return Segment(file.name, file.stat().st_size, sha256_of(file), rows, dict(batches))


def _fill(connection: duckdb.DuckDBPyConnection, half: Path, clinic: str, batches: list[str]) -> int:
    """Write a segment's rows; gives how many. Raises sqlite3.Error."""
    with closing(sqlite3.connect(half, isolation_level=None)) as segment:
        # No journal and no waiting for the disk: until it is renamed nobody reads it, and a half one is thrown away.
        # No other file either: an index that is sorted outside the memory would leave patients' ids elsewhere.
        for setting in ("journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY"):
            segment.execute(f"PRAGMA {setting}")
        segment.execute(f"CREATE TABLE version ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        segment.execute("BEGIN")
        rows = 0
        for part in _rows(connection, clinic, batches):
            segment.executemany(f"INSERT INTO version VALUES ({', '.join('?' * len(COLUMNS))})", part)
            rows += len(part)
        segment.execute("CREATE INDEX of_record ON version (record_id)")
        segment.execute("COMMIT")
    return rows


def _rows(connection: duckdb.DuckDBPyConnection, clinic: str, batches: list[str]) -> Iterator[list[tuple[object, ...]]]:
    """Rows of a segment, some thousands at a time."""
    others = ", ".join(f"'{place}=' || v.\"{q.column}\"::VARCHAR" for place, q in enumerate(other_questions()))
    yes_or_no = ", ".join(f'v."{column}"' for column in yes_or_no_columns())
    reader = connection.execute(
        f"""
        SELECT v.record_id, epoch_us(v.submitted_at), v.intake_hash, v.data_kind, epoch_us(v.received_at),
               v.has_notes::INTEGER, array_to_string(v.warnings, chr(31)), concat_ws(chr(31), {others}), n.note,
               {yes_or_no}
        FROM intake_shown v LEFT JOIN intake_note n USING (batch_id, record_number)
        WHERE v.clinic_id = $clinic AND v.batch_id IN (SELECT unnest($batches))
        """,
        {"clinic": clinic, "batches": batches},
    ).to_arrow_reader(ROWS_AT_ONCE)
    plain = len(COLUMNS) - 2  # all but what is packed and the checksum
    for part in reader:
        columns = [column.to_pylist() for column in part.columns[:plain]]
        *before, notes = columns
        values = zip(*before, _packed(part.columns[plain:]), notes, strict=True)
        yield [(*row, checksum(row)) for row in values]


def _packed(columns: list[pa.Array]) -> list[bytes]:
    """For each row the bits of its yes/no answers: which are stated, then which of them are yes."""
    stated = [column.is_valid().to_numpy(zero_copy_only=False) for column in columns]
    yes = [column.fill_null(False).to_numpy(zero_copy_only=False) for column in columns]
    packed = np.packbits(np.stack([*stated, *yes]), axis=0)
    width, content = packed.shape[0], np.ascontiguousarray(packed.T).tobytes()
    return [content[start : start + width] for start in range(0, len(content), width)]


def _replace_manifest(folder: Path, segments: list[Segment]) -> None:
    half = folder / f"{HALF}{MANIFEST}"
    half.touch(mode=0o600)
    half.write_text(manifest_text(segments), "utf-8")
    sync(half)
    half.replace(folder / MANIFEST)
    sync(folder)


def _remove_others(home: Home, clinics: Mapping[str, object]) -> None:
    """Folders of clinics none of whose records may be shown any more."""
    for entry in home.answers.iterdir():
        if entry.name not in clinics:
            shutil.rmtree(entry)
    sync(home.answers)
