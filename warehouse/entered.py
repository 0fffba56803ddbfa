"""Entries of the clinicians' page: kept here until a published table shows them, and handed to the pipeline as files.

Belongs here: the folder ``entered/<clinic>/`` of a home, one file of one row for each entry under the hash of its
bytes; handing it on to ``landing/<clinic>/``; letting go of it. Does not belong here: what a row may hold
(``schemas.decisions`` and its like), a file's own text (``warehouse.entered_rows``), forms and words
(``pipelines.page``). Needs neither the warehouse nor its lock.

An entry counts from the moment its file lies in ``entered``. Whoever dies between that and handing it on loses nothing:
``hand_on`` does what is left, and the same bytes again are nothing new to the intake.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from schemas.answers import KEY_PATTERNS
from warehouse.disk import sha256_of, sync
from warehouse.entered_rows import Contents, Entry, columns_of, read_entry, to_csv
from warehouse.home import Home

PATIENCE_SECONDS = 10.0  # for other entries of the clinic; each takes a fraction of a second
SENT_SECONDS = 48 * 3600  # how long the same form posted again is known
_HALF = ".half-"  # the landing folder passes over what begins with a dot
_SENT = ".sent-"
_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})(?P<refused>\.refused)?\.csv")
_LOOK = """
    SELECT file_sha256, true AS is_published FROM (
        SELECT clinic_id, file_sha256 FROM decisions
        UNION ALL SELECT clinic_id, file_sha256 FROM outcomes
        UNION ALL SELECT clinic_id, file_sha256 FROM safety_concerns
    ) WHERE clinic_id = $clinic AND file_sha256 IN (SELECT unnest(string_split($hashes, ',')))
    UNION ALL
    SELECT file_sha256, false FROM (
        SELECT clinic_id, file_sha256 FROM unread_follow_up UNION ALL SELECT clinic_id, file_sha256 FROM refused_files
    ) WHERE clinic_id = $clinic AND file_sha256 IN (SELECT unnest(string_split($hashes, ',')))
"""


class NotKept(Exception):
    """An entry could not be written, and nothing of it was kept; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in ``entered`` for a clinic, oldest first, and how many files there are no entries (any more)."""

    entries: tuple[Entry, ...]
    damaged: int


def kept(home: Home, clinic: str) -> Kept:
    """The entries of a clinic that no published table has been seen to show. Costs a listing where there are none."""
    entries, damaged = [], 0
    try:
        files = _files(home, clinic)
    except OSError:  # nobody knows what is in it: it is told, and the list is shown
        return Kept((), 1)
    for file, found in files:
        entry = read_entry(file, clinic, found["sha256"], found["refused"] is not None)
        if entry:
            entries.append(entry)
        elif file.exists():
            damaged += 1
    return Kept(tuple(sorted(entries, key=lambda entry: (entry.made_at, entry.sha256))), damaged)


class Door:
    """Entering for one clinic, one at a time: use ``door``."""

    def __init__(self, home: Home, clinic: str) -> None:
        self._home, self._clinic = home, clinic

    def newest(self, record_id: str) -> datetime | None:
        """The latest time of an entry on this record that is kept here, or None."""
        entries = kept(self._home, self._clinic).entries
        return max((entry.made_at for entry in entries if entry.record_id == record_id), default=None)

    def was_sent(self, token: str) -> bool:
        """Whether what ``token`` stands for (hex; one form, filled in one way) was entered already."""
        try:
            sha256 = self._marker(token).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return False
        # A marker alone is left of an attempt that was cut off before anything was entered.
        return (
            any(found["sha256"] == sha256 for _, found in _files(self._home, self._clinic))
            or _landed(self._home, self._clinic, sha256).exists()
        )

    def keep(self, contents: Contents, cells: Mapping[str, str], token: str) -> Entry:
        """Keep a row (columns left out are blank) and hand it on. Raises NotKept, and then nothing of it was kept."""
        content = to_csv(contents, cells)
        sha256 = hashlib.sha256(content).hexdigest()
        file = _folder(self._home, self._clinic) / f"{sha256}.csv"
        try:
            self._sweep()
            _write(self._marker(token), sha256.encode("ascii"))
            _write(file, content)
            _hand_on(self._home, self._clinic, sha256, content)
        except OSError as error:
            for half in (file, _landed(self._home, self._clinic, sha256), self._marker(token)):
                with suppress(OSError):
                    half.unlink(missing_ok=True)
            raise NotKept(f"it could not be written ({_why(error)})") from None
        return Entry(contents, self._clinic, dict.fromkeys(columns_of(contents), "") | dict(cells), sha256)

    def _marker(self, token: str) -> Path:
        return _folder(self._home, self._clinic) / f"{_SENT}{token}"

    def _sweep(self) -> None:
        """Remove markers that no browser will post again, and what a kill left half written."""
        for left in (*_folder(self._home, self._clinic).glob(f"{_SENT}*"), *_halves(self._home, self._clinic)):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > SENT_SECONDS:
                    left.unlink()


@contextmanager
def door(home: Home, clinic: str) -> Iterator[Door]:
    """Enter for a clinic while nobody else does, here or in another process. Raises NotKept."""
    try:
        _folder(home, clinic).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(_folder(home, clinic) / ".lock", timeout=PATIENCE_SECONDS, mode=0o600)
        lock.acquire()
    except (OSError, Timeout) as error:
        why = "other entries take too long" if isinstance(error, Timeout) else _why(error)
        raise NotKept(f"it could not be written ({why})") from None
    try:
        yield Door(home, clinic)
    finally:
        lock.release()


def hand_on(home: Home, clinic: str) -> int:
    """Put into the landing folder what is kept and does not lie there; gives how many could not be put there."""
    stuck = 0
    for file, found in _files(home, clinic):
        if found["refused"] or _landed(home, clinic, found["sha256"]).exists():
            continue
        try:
            _hand_on(home, clinic, found["sha256"], file.read_bytes())
        except FileNotFoundError:
            stuck += file.exists()  # else it was published and let go while this looked
        except OSError:
            stuck += 1
    return stuck


def hand_on_all(home: Home) -> None:
    """The same for every clinic: when the page starts."""
    for clinic in _clinics(home):
        with suppress(OSError):  # a list that is asked for tells of it (``kept``)
            hand_on(home, clinic)


def looked_up(
    connection: duckdb.DuckDBPyConnection, clinic: str, entries: Collection[Entry]
) -> tuple[dict[str, bool], set[str]]:
    """What the published table says of a clinic's entries, by hash (true: shown, false: refused), and which of the
    records that they are about it has.
    """
    # Joined, because a list is bound with a search for modules for each of its elements.
    hashes = ",".join(entry.sha256 for entry in entries)
    ids = ",".join({entry.record_id for entry in entries})
    found = connection.execute(_LOOK, {"clinic": clinic, "hashes": hashes}).fetchall()
    records = connection.execute(
        "SELECT record_id FROM referrals WHERE clinic_id = $clinic "
        "AND record_id IN (SELECT unnest(string_split($ids, ',')))",
        {"clinic": clinic, "ids": ids},
    ).fetchall()
    return {sha256: is_published for sha256, is_published in sorted(found)}, {record_id for (record_id,) in records}


def waits_here(home: Home, entry: Entry) -> bool:
    """Whether an entry has not been handed on yet."""
    return not _landed(home, entry.clinic, entry.sha256).exists()


def settle(home: Home, entry: Entry, said: bool | None) -> None:
    """Act on what a published table says of an entry (``looked_up``, None where it is silent).

    Shown, or about a record that is withdrawn: let go of. Refused: marked, so that it is let go of once somebody has
    dealt with it and the table is silent.
    """
    file = _folder(home, entry.clinic) / f"{entry.sha256}{'.refused' if entry.is_refused else ''}.csv"
    with suppress(OSError):  # somebody else was faster, or the next look does it
        if said or (said is None and entry.is_refused):
            file.unlink(missing_ok=True)
        elif said is False and not entry.is_refused:
            file.rename(file.with_name(f"{entry.sha256}.refused.csv"))


def remove_withdrawn(home: Home, is_withdrawn: Callable[[str, str], bool]) -> int:
    """Remove every entry on an erased record, with the copy in landing: both are the page's own. Gives how many.

    ``is_withdrawn``: of clinic and record id. What was published before has no copy here any more; its file in landing
    stays, as all files there do. Raises OSError.
    """
    removed = 0
    for clinic in _clinics(home):
        for file, found in _files(home, clinic):
            entry = read_entry(file, clinic, found["sha256"], is_refused=False)
            if entry is None or not entry.record_id or not is_withdrawn(clinic, entry.record_id):
                continue
            landed = _landed(home, clinic, entry.sha256)
            if landed.is_file() and sha256_of(landed) == entry.sha256:
                landed.unlink()
            for marker in file.parent.glob(f"{_SENT}*"):
                if marker.read_text("ascii", "replace") == entry.sha256:
                    marker.unlink()
            file.unlink(missing_ok=True)
            removed += 1
    return removed


def is_landed(home: Home, clinic: str, file: Path) -> bool:
    """Whether a file of the landing folder is one that an entry was handed on as: its name tells of its own bytes."""
    return bool(clinic) and file.name.startswith("entered-") and file == _landed(home, clinic, sha256_of(file))


def _files(home: Home, clinic: str) -> list[tuple[Path, re.Match[str]]]:
    folder = _folder(home, clinic)
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    return [(file, found) for file in files if (found := _NAME.fullmatch(file.name))]


def _clinics(home: Home) -> list[str]:
    folders = home.entered.iterdir() if home.entered.is_dir() else ()
    return sorted(folder.name for folder in folders if re.fullmatch(KEY_PATTERNS["clinic_id"], folder.name))


def _folder(home: Home, clinic: str) -> Path:
    return home.entered / clinic


def _landed(home: Home, clinic: str, sha256: str) -> Path:
    return home.landing / clinic / f"entered-{sha256[:16]}.csv"


def _hand_on(home: Home, clinic: str, sha256: str, content: bytes) -> None:
    landed = _landed(home, clinic, sha256)
    # A landing folder that is gone may be a disk that is not there: nothing is written in its place.
    landed.parent.mkdir(mode=0o700, exist_ok=True)
    _write(landed, content)


def _write(file: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, open to the owner alone. Raises OSError."""
    descriptor, half = tempfile.mkstemp(dir=file.parent, prefix=_HALF)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(half).replace(file)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise
    sync(file.parent)


def _halves(home: Home, clinic: str) -> Iterator[Path]:
    for folder in (_folder(home, clinic), home.landing / clinic):
        yield from folder.glob(f"{_HALF}*")


def _why(error: OSError) -> str:
    """The kind of an error of the machine; its message would name paths."""
    return os.strerror(error.errno) if error.errno else type(error).__name__
