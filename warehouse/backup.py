"""A backup: everything of a home that cannot be made again, as it was at one moment, with the hash of each file.

Belongs here: what a backup holds, making one, and knowing whether it is whole. Does not belong here: putting it back
(``warehouse.restoring``). Made under the lock, in a folder that is renamed when it is whole: what is left of a backup
that was broken off has a name that says so, and goes with the next one.

Privacy: a backup holds patients' data and the key of the withdrawals; it is open to its owner alone. Files that wait in
the landing folder lose their own names in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from warehouse import audit
from warehouse.disk import sha256_of
from warehouse.finding import Finding
from warehouse.home import Home
from warehouse.landing import files_in
from warehouse.lock import holding
from warehouse.snapshot_reading import POINTER
from warehouse.store import RESTORING, opened

FORMAT = 1
MANIFEST = "backup.json"
HALF = ".half-"
SET_ASIDE = "before-restore-"  # what a restore put aside in a home
LAST = "last-backup.json"
OLD = timedelta(days=7)  # a backup older than this is noted
_NOT_OURS = ("warehouse.lock", "warehouse.holder", RESTORING, LAST)  # of the running installation, not of its state
_SQLITE = b"SQLite format 3\x00"
_BESIDE_SQLITE = ("-wal", "-shm", "-journal")  # the backup of a database has their content


class BackupRefused(Exception):
    """A backup cannot be made, read or put back; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole backup: its folder and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def made_at(self) -> datetime:
        """When it was made (UTC)."""
        return datetime.fromisoformat(self.manifest["made_at"])

    @property
    def head(self) -> audit.Head:
        """The last entry of the audit that it holds."""
        return audit.Head(self.manifest["audit"]["entries"], self.manifest["audit"]["hash"])

    @property
    def counts(self) -> dict[str, int]:
        """How much it holds, and what was amiss in the home, by names that can be shown."""
        return dict(self.manifest["counts"])


def make(home: Home, folder: Path) -> Backup:
    """Back ``home`` up into a new folder under ``folder``, named by the time (UTC).

    Raises WarehouseBusy, WarehouseRefused where the warehouse cannot be read to its last row, and BackupRefused:
    nothing to back up, a folder inside the home, no room.
    """
    folder = folder.resolve()
    if folder.is_relative_to(home.root.resolve()):
        raise BackupRefused("a backup inside the home would be lost with it: name a folder elsewhere")
    if not home.warehouse.exists() and not (home.snapshots / POINTER).exists():
        raise BackupRefused("there is no warehouse here yet, so there is nothing to back up")
    make_folder(folder)
    with holding(home, "back up"):
        _sweep(home, folder)
        made_at = datetime.now(UTC)
        half = folder / f"{HALF}{_mark(home)}-{secrets.token_hex(4)}"
        half.mkdir(mode=0o700)
        try:
            manifest = _fill(home, half, made_at)
            _write_manifest(half, manifest)
            os.sync()
            final = folder / f"{made_at:%Y%m%dT%H%M%S%fZ}"
            half.rename(final)
        except OSError as error:
            shutil.rmtree(half, ignore_errors=True)
            raise BackupRefused(f"the backup could not be made ({error.strerror}); nothing of it was kept") from None
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        _note(home, made_at)
    return Backup(final, manifest)


def read(folder: Path) -> Backup:
    """The backup in ``folder``. Raises BackupRefused where there is none, naming those that lie in it if there are."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        if manifest["format"] != FORMAT:
            raise BackupRefused("this backup was made by another version of hiptriage: use that version")
        found = Backup(folder, manifest)
        _ = (found.made_at, found.head, found.counts, manifest["files"].items())
    except FileNotFoundError:
        whole = sorted(entry.parent.name for entry in folder.glob(f"[!.]*/{MANIFEST}"))
        hint = f"; name one of those in it: {', '.join(whole)}" if whole else ""
        raise BackupRefused(f"that folder is no backup{hint}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BackupRefused("the list of this backup cannot be read: take another backup") from None
    return found


def last_made(home: Home) -> datetime | None:
    """When the home was backed up last, or None."""
    try:
        said = json.loads((home.root / LAST).read_text("utf-8"))
        return datetime.fromisoformat(said["made_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finding(home: Home, now: datetime | None = None) -> Finding:
    """For ``hiptriage doctor``: when the home was backed up last."""
    made_at = last_made(home)
    if made_at is None:
        return Finding("note", "this home was never backed up: hiptriage backup FOLDER (docs/operations.md)")
    last = f"the last backup was made on {made_at:%Y-%m-%d %H:%M} UTC"
    return Finding("note", f"{last}: make one") if (now or datetime.now(UTC)) - made_at > OLD else Finding("ok", last)


def entries_of(home: Home) -> Iterator[Path]:
    """What lies in the home and is its state: all but its landing folder, locks, halves, and what was put aside."""
    for entry in sorted(home.root.iterdir()):
        passed = entry.name.startswith((HALF, SET_ASIDE)) or entry.name.startswith(f"{home.warehouse.name}.")
        if not passed and entry.name not in _NOT_OURS and entry != home.landing:
            yield entry


def make_folder(folder: Path) -> None:
    """A folder and whatever is missing above it, open to the owner alone."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _fill(home: Home, half: Path, made_at: datetime) -> dict[str, Any]:
    """Everything into the half-made folder; gives the manifest."""
    settled = _settled(home)
    copier = _Copier(home, half)
    for entry in entries_of(home):
        # The clinics' copy of stated answers is made from the warehouse: the next publication makes it again.
        if entry != home.answers:
            copier.take(entry)
    waiting = _waiting(home, copier)
    pointer = home.snapshots / POINTER
    return {
        "format": FORMAT,
        "made_at": made_at.isoformat(),
        "installation": home.settings().name or home.root.name,
        "audit": {"entries": settled.head.entries, "hash": settled.head.hash},
        "snapshot": pointer.read_text("utf-8").strip() if pointer.is_file() else None,
        "counts": {
            "files": len(copier.files),
            "bytes": sum(facts["bytes"] for facts in copier.files.values()),
            "batches": settled.batches,
            "records": settled.records,
            "landing files not taken in": waiting,
            "archived files missing": sum(not (home.archive / sha256).is_file() for sha256 in settled.archived),
            "archived files changed": copier.damaged,
            "links passed over": copier.links,
        },
        "files": copier.files,
    }


@dataclass(frozen=True, slots=True)
class _Settled:
    head: audit.Head
    batches: int
    records: int
    archived: frozenset[str]


def _settled(home: Home) -> _Settled:
    """Everything written to the one file of the warehouse, and every row of it read: a damaged one is no backup."""
    with opened(home, "read what is to be backed up") as connection:
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT temporary").fetchall():
            connection.execute(f'SELECT bit_xor(hash(row_of)) FROM "{table}" AS row_of').fetchall()
        batches, records = connection.execute(
            "SELECT (SELECT count(*) FROM intake_file), (SELECT count(*) FROM intake_current)"
        ).fetchall()[0]
        archived = connection.execute("SELECT sha256 FROM intake_archived").fetchall()
        settled = _Settled(audit.head(connection), batches, records, frozenset(sha256 for (sha256,) in archived))
    if home.warehouse.with_name(f"{home.warehouse.name}.wal").exists():
        raise BackupRefused("the warehouse was not closed as it should be: run hiptriage doctor, then back up again")
    return settled


class _Copier:
    """Copies files of a home and keeps their hashes; hard links stay links, so that snapshots take their room once."""

    def __init__(self, home: Home, target: Path) -> None:
        self.home, self.target = home, target
        self.files: dict[str, dict[str, Any]] = {}
        self.damaged = self.links = 0
        self._seen: dict[tuple[int, int], str] = {}

    def take(self, entry: Path) -> None:
        """An entry of the home: a file, or a folder with everything in it."""
        if entry.is_file():
            self._file(entry, entry.name)
            return
        for folder, inner, names in os.walk(entry):
            inner[:] = sorted(name for name in inner if not name.startswith(HALF))
            for name in sorted(names):
                file = Path(folder, name)
                if not name.startswith((HALF, "incoming-")):
                    self._file(file, file.relative_to(self.home.root).as_posix())
            for name in inner:
                self.links += Path(folder, name).is_symlink()

    def put(self, source: Path, name: str) -> None:
        """One file under a name of our choice."""
        target = self._place(name)
        shutil.copyfile(source, target)
        self._enter(name, target, 0o600)

    def _file(self, file: Path, name: str) -> None:
        if file.is_symlink() or not file.is_file():
            self.links += 1
            return
        is_dagster = file.is_relative_to(self.home.dagster)
        try:
            if is_dagster and file.name.endswith(_BESIDE_SQLITE):
                return
            facts = file.stat()
            if (first := self._seen.get((facts.st_dev, facts.st_ino))) and facts.st_nlink > 1:
                self._again(first, name)
                return
            target = self._place(name)
            if is_dagster and _is_sqlite(file):
                _copy_database(file, target)
            else:
                shutil.copyfile(file, target)
        except FileNotFoundError:
            if not is_dagster:
                raise
            return  # Dagster removes runs without our lock
        self._seen[facts.st_dev, facts.st_ino] = name
        self._enter(name, target, facts.st_mode & 0o700)
        if file.parent == self.home.archive and self.files[name]["sha256"] != file.name:
            self.damaged += 1

    def _again(self, first: str, name: str) -> None:
        target = self._place(name)
        try:
            os.link(self.target / "home" / first, target)
        except OSError:  # a file system that cannot link
            shutil.copyfile(self.target / "home" / first, target)
            target.chmod(self.files[first]["mode"])
        self.files[name] = self.files[first] | {"same_as": first}

    def _place(self, name: str) -> Path:
        target = self.target / "home" / name
        make_folder(target.parent)
        return target

    def _enter(self, name: str, target: Path, mode: int) -> None:
        target.chmod(mode)
        self.files[name] = {"sha256": sha256_of(target), "bytes": target.stat().st_size, "mode": mode}


def _waiting(home: Home, copier: _Copier) -> int:
    """Files of the landing folder that the archive does not hold: the only copy of forms that nobody has read."""
    waiting = 0
    for clinic, file in files_in(home.landing):
        try:
            sha256 = sha256_of(file)
            if (home.archive / sha256).exists():
                continue
            copier.put(file, "/".join(part for part in ("landing", clinic, f"from-backup-{sha256[:12]}") if part))
        except OSError:  # gone or closed meanwhile: counted as waiting, since it is not in the backup either
            pass
        waiting += 1
    return waiting


def _is_sqlite(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(_SQLITE)) == _SQLITE


def _copy_database(source: Path, target: Path) -> None:
    """A database that others may be writing, as it is between two of their transactions."""
    target.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)


def _mark(home: Home) -> str:
    """Which home a half-made backup is of: several homes may share a folder for their backups."""
    return hashlib.sha256(str(home.root).encode()).hexdigest()[:12]


def _sweep(home: Home, folder: Path) -> None:
    for left in folder.glob(f"{HALF}{_mark(home)}-*"):
        shutil.rmtree(left)


def _write_manifest(half: Path, manifest: dict[str, Any]) -> None:
    file = half / MANIFEST
    file.write_text(json.dumps(manifest, indent=1), "utf-8")
    file.chmod(0o400)


def _note(home: Home, made_at: datetime) -> None:
    half = home.root / f"{HALF}{LAST}"
    half.write_text(json.dumps({"made_at": made_at.isoformat()}), "utf-8")
    half.chmod(0o600)
    half.replace(home.root / LAST)
