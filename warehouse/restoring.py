"""Putting a backup back: verified first, swapped in by renaming, and nothing of the home deleted.

Belongs here: the order of steps. The landing folder is the clinics' and stays where it is; everything else of the home
is put aside in it. While ``restoring`` lies in the home nobody may open its warehouse (``warehouse.store``); a restore
that was broken off is undone by the next one. Does not belong here: what a backup holds (``warehouse.backup``).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from warehouse import audit
from warehouse.backup import HALF, SET_ASIDE, Backup, BackupRefused, entries_of, make_folder, read
from warehouse.disk import sha256_of
from warehouse.home import Home
from warehouse.landing import files_in
from warehouse.lock import holding
from warehouse.settings import DataKind
from warehouse.sources import ClinicNotNamed, register
from warehouse.store import RESTORING, WarehouseRefused, opened

WAIT_SECONDS = 30.0  # not as the settings say: they may be what is broken
_SHORT = 12  # signs of a hash in the id of a batch


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to.

    ``aside``: where the home of before lies, None where there was none. ``landing``: files put back into the landing
    folder. ``entered_again`` and ``not_entered``: files that had come in after the backup, and wait to be loaded now,
    or whose clinic nobody knows. ``withdrawals``: how many were made after the backup and are not in it, None where
    the warehouse of before cannot be read.
    """

    backup: Backup
    aside: Path | None
    landing: int
    entered_again: int
    not_entered: int
    withdrawals: int | None


def restore(
    home: Home, folder: Path, *, replace: bool = False, by: str | None = None, batch_ids: Iterable[str] = ()
) -> Restored:
    """Put the backup in ``folder`` in the place of ``home``, after all its hashes were checked.

    ``replace``: put a home that is not empty aside. ``by``: who does it, for the audit. ``batch_ids``: of the home as
    it was, as far as they are known outside its warehouse: whose files those are that came in after the backup.
    Raises BackupRefused, WarehouseBusy, WarehouseRefused; the home is then as it was.
    """
    backup = read(folder)
    make_folder(home.root)
    with holding(home, "restore", wait=WAIT_SECONDS):
        _undo(home)
        _sweep(home)
        if not replace and _holds_something(home):
            raise BackupRefused("the home is not empty: --replace puts what is in it aside; nothing was changed")
        if shutil.disk_usage(home.root).free < backup.manifest["counts"]["bytes"]:
            raise BackupRefused("the disk has no room for this backup; nothing was changed")
        half = home.root / f"{HALF}restore-{secrets.token_hex(4)}"
        try:
            _unpack(backup, half)
            _enter(half, backup, by)
            aside = home.root / f"{SET_ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
            _swap(home, half, aside)
        except OSError as error:
            _undo(home)
            raise BackupRefused(f"the backup could not be put back ({error.strerror}); the home is as it was") from None
        finally:
            shutil.rmtree(half, ignore_errors=True)
        landing = _landing(home, backup)
        return _told(home, backup, aside, landing, batch_ids)


def _unpack(backup: Backup, half: Path) -> None:
    """Copy every file of the backup but those of the landing folder; all of them have to have their hashes."""
    half.mkdir(mode=0o700)
    wrong = 0
    for name, facts in backup.manifest["files"].items():
        source, target = backup.path / "home" / name, half / name
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise BackupRefused("the list of this backup cannot be read: take another backup")
        if not source.is_file():
            wrong += 1
            continue
        if place.parts[0] == "landing":
            wrong += sha256_of(source) != facts["sha256"]
            continue
        make_folder(target.parent)
        if not _linked(half, facts, target):
            shutil.copyfile(source, target)
            target.chmod(facts["mode"])
            wrong += sha256_of(target) != facts["sha256"]
    if wrong:
        raise BackupRefused(
            f"{wrong} files of this backup are missing or changed: take another one; nothing was changed"
        )
    os.sync()


def _linked(half: Path, facts: Mapping[str, Any], target: Path) -> bool:
    first = facts.get("same_as")
    if first is None:
        return False
    try:
        os.link(half / first, target)
    except OSError:
        return False
    return True


def _enter(half: Path, backup: Backup, by: str | None) -> None:
    """Check the chain of the audit and append the restore to it, before the warehouse is in place."""
    restored = Home(half)
    head = backup.head
    with opened(restored, "enter a restore") as connection:
        anchors = {head.entries: head.hash} if head.entries else {}
        if audit.head(connection) != head or audit.first_broken(connection, anchors) is not None:
            raise BackupRefused("the audit in this backup is not the one it was made with: take another backup")
        audit.enter(
            connection,
            "restore",
            subject=f"backup of {backup.made_at:%Y-%m-%dT%H:%M:%SZ}",
            by=by,
            versions={"head": head.hash},
            counts={"entries": head.entries, "batches": backup.counts["batches"]},
        )
    for left in ("warehouse.lock", "warehouse.holder"):
        (half / left).unlink(missing_ok=True)
    shutil.rmtree(half / "landing", ignore_errors=True)


def _swap(home: Home, half: Path, aside: Path) -> None:
    """Put the old aside and the new in place; the file ``restoring`` says until the end that it is under way."""
    # A log beside the old warehouse would be played into the new one.
    beside = home.root.glob(f"{home.warehouse.name}.*")
    old = [entry.name for entry in (*entries_of(home), *beside)]
    new = sorted(entry.name for entry in half.iterdir())
    _write(home.root / RESTORING, {"aside": aside.name, "old": old, "new": new})
    aside.mkdir(mode=0o700)
    for name in old:
        (home.root / name).rename(aside / name)
    for name in new:
        (half / name).rename(home.root / name)
    os.sync()
    (home.root / RESTORING).unlink()
    os.sync()


def _undo(home: Home) -> None:
    """Take a restore back that was broken off: what was put aside returns, what was put in place was a copy."""
    marker = home.root / RESTORING
    if not marker.exists():
        return
    try:
        begun = json.loads(marker.read_text("utf-8"))
        aside, old, new = home.root / begun["aside"], begun["old"], begun["new"]
    except (ValueError, KeyError, TypeError):
        # The marker is written whole before anything is moved.
        raise BackupRefused(f"the file {RESTORING} in the home cannot be read: somebody changed it") from None
    for name in new:
        if name not in old or (aside / name).exists():
            _remove(home.root / name)
    for name in old:
        if (aside / name).exists():
            (aside / name).rename(home.root / name)
    if aside.exists():
        aside.rmdir()
    os.sync()
    marker.unlink()


def _landing(home: Home, backup: Backup) -> int:
    """Put back files that nobody had taken in when the backup was made, unless they are there."""
    home.ensure()
    there = {sha256_of(file) for _, file in files_in(home.landing)}
    put = 0
    for name, facts in backup.manifest["files"].items():
        if name.startswith("landing/") and facts["sha256"] not in there:
            target = home.root / name
            make_folder(target.parent)
            half = target.with_name(f".{target.name}")
            shutil.copyfile(backup.path / "home" / name, half)
            half.chmod(0o600)
            half.rename(target)
            put += 1
    return put


def _told(home: Home, backup: Backup, aside: Path, landing: int, batch_ids: Iterable[str]) -> Restored:
    """Enter again what came in after the backup, and count what cannot come back."""
    before = Home(aside)
    if not any(file.is_file() for file in aside.rglob("*")):
        shutil.rmtree(aside)
        return Restored(backup, None, landing, 0, 0, None)
    known, withdrawals = _of_old_warehouse(before, home)
    clinics = {sha: clinic for clinic, _, sha in (batch_id.split(".") for batch_id in batch_ids)} | known
    entered = left = 0
    later = sorted(file for file in before.archive.glob("*") if not (home.archive / file.name).exists())
    for file in later:
        clinic = clinics.get(file.name[:_SHORT])
        if clinic is not None and _entered(home, file, "" if clinic == "several" else clinic):
            entered += 1
        else:
            left += 1
    return Restored(backup, aside, landing, entered, left, withdrawals)


def _entered(home: Home, file: Path, clinic: str) -> bool:
    if sha256_of(file) != file.name:
        return False
    try:
        register(home, file, clinic=clinic, data_kind=_data_kind(home))
    except (ClinicNotNamed, WarehouseRefused):
        return False
    return True


def _data_kind(home: Home) -> DataKind:
    """The kind of the records that are there; as the settings say where there is none or more than one."""
    with opened(home, "look at the kind of records") as connection:
        kinds: list[tuple[DataKind]] = connection.execute("SELECT DISTINCT data_kind FROM intake_file").fetchall()
    return kinds[0][0] if len(kinds) == 1 else home.settings().data_kind


def _of_old_warehouse(before: Home, home: Home) -> tuple[dict[str, str], int | None]:
    """Clinic by beginning of a file's hash, and withdrawals that the restored one lacks; nothing if unreadable."""
    with opened(home, "count withdrawals") as connection:
        numbers = {number for (number,) in connection.execute("SELECT withdrawal_number FROM withdrawal").fetchall()}
    if not before.warehouse.is_file():
        return {}, None
    try:
        with duckdb.connect(before.warehouse, read_only=True) as connection:
            files = connection.execute("SELECT sha256, clinic FROM intake_file").fetchall()
            withdrawn = connection.execute("SELECT withdrawal_number FROM withdrawal").fetchall()
    except duckdb.Error:
        return {}, None
    return {sha256[:_SHORT]: clinic for sha256, clinic in files}, len({n for (n,) in withdrawn} - numbers)


def _holds_something(home: Home) -> bool:
    return any(entry.is_file() or any(file.is_file() for file in entry.rglob("*")) for entry in entries_of(home))


def _sweep(home: Home) -> None:
    for left in home.root.glob(f"{HALF}restore-*"):
        shutil.rmtree(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    half = file.with_name(f"{HALF}{file.name}")
    half.write_text(json.dumps(content), "utf-8")
    os.sync()
    half.rename(file)
    os.sync()
