"""Publishing: an immutable folder for each snapshot, and a pointer that is swapped in one step.

Belongs here: the order of steps, so that whoever reads sees the old snapshot whole or the new one whole, whenever
the publisher is killed; linking what did not change; retention. Does not belong here: what the tables hold
(``warehouse.publication``), their files (``warehouse.clinic_files``), reading (``warehouse.snapshot_reading``).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from warehouse import clinic_files, publication, quarantine_copy
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.publication import ClinicContent, Publication
from warehouse.snapshot_reading import FORMAT, POINTER, UNASSIGNED, SnapshotMissing, current_snapshot, read_manifest
from warehouse.store import WarehouseRefused, opened
from warehouse.withdrawing import erasure

HALF = ".half-"  # a folder or file that is being made or being removed


class NotReinstated(Exception):
    """An earlier snapshot cannot become the current one again; the message is one clause that says why."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: clinics, referrals, forms that could not be read, and how many clinics were only linked."""

    snapshot_id: str
    clinics: int
    referrals: int
    unread: int
    unread_emergency: int
    linked: int
    path: Path


def publish(home: Home, *, about: Publication) -> Published:
    """Publish the warehouse as a new snapshot and make it the current one.

    Raises WarehouseBusy, SettingsRefused, and WarehouseRefused where a record has no score, the counts do not agree
    or DuckDB fails; the current snapshot then stays as it was.
    """
    with holding(home, publication.PURPOSE):
        erasure.go_on(home)
        _sweep(home)
        published_at = datetime.now(UTC)
        snapshot_id = f"{published_at:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(3)}"
        half = home.snapshots / f"{HALF}{snapshot_id}"
        half.mkdir(mode=0o700)
        try:
            manifest = _build(home, half, about)
            manifest |= {"snapshot_id": snapshot_id, "published_at": published_at.isoformat()}
            _write_manifest(half, manifest)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        # Before the pointer: a run killed in between finds no snapshot of its change and does both again.
        quarantine_copy.replace(home)
        _seal(half, home.snapshots / snapshot_id)
        _swap_pointer(home, snapshot_id)
        _retire(home, snapshot_id, published_at)
        erasure.end(home)
    of_clinics = manifest["clinics"].values()
    named = [of for clinic, of in manifest["clinics"].items() if clinic != UNASSIGNED]
    return Published(
        snapshot_id=snapshot_id,
        clinics=len(named),
        referrals=sum(of["rows"]["referrals"] for of in of_clinics),
        unread=sum(of["unread"] for of in of_clinics),
        unread_emergency=sum(of["unread_emergency"] for of in of_clinics),
        linked=sum(of["linked_from"] is not None for of in named),
        path=home.snapshots / snapshot_id,
    )


def reinstate(home: Home, snapshot_id: str, versions: Mapping[str, str]) -> None:
    """Make an earlier snapshot the current one again.

    ``versions``: what it must have been made by, names as in ``Publication.versions``. Raises NotReinstated, and
    leaves the current one, where it is not whole, was made by other versions, or anything was taken in since: records
    and decisions come in as files, and each file that is loaded leaves a row in the ledger. So does a record that was
    withdrawn since, or shown again. Raises WarehouseBusy too.
    """
    with holding(home, publication.PURPOSE):
        try:
            manifest = read_manifest(home.snapshots / snapshot_id)
        except SnapshotMissing:
            raise NotReinstated("the table published before is no longer kept") from None
        entries = [*(entry["files"] for entry in manifest["clinics"].values()), manifest["group"]]
        for name, facts in (item for files in entries for item in files.items()):
            file = home.snapshots / snapshot_id / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise NotReinstated("the table published before is not whole any more")
        if any(manifest["versions"].get(name) != version for name, version in versions.items()):
            raise NotReinstated("the program or its knowledge changed since the table before was published")
        with opened(home, publication.PURPOSE) as connection:
            published_at = datetime.fromisoformat(manifest["published_at"])
            taken_in = connection.execute(
                "SELECT coalesce(max(happened_at) > ?, false), (SELECT count(*) FROM intake_current) "
                "FROM intake_ledger",
                [published_at],
            ).fetchone()
            # Hiding a record and showing it again is no news of the ledger.
            withdrawn = connection.execute(
                "SELECT count(*) FROM withdrawal WHERE happened_at > ?", [published_at]
            ).fetchone()
        if withdrawn != (0,):
            raise NotReinstated("a record was withdrawn or shown again since the table before was published")
        held = sum(entry["rows"]["referrals"] for entry in manifest["clinics"].values())
        if taken_in != (False, held):
            raise NotReinstated("new forms came in since the table before was published")
        _swap_pointer(home, snapshot_id)


def _build(home: Home, half: Path, about: Publication) -> dict[str, Any]:
    """All files of the snapshot but its manifest, in the half-made folder; gives the manifest's content."""
    settings = home.settings()
    previous = _previous(home)
    with publication.assembling(home, half / "spill") as cursor:
        contents = publication.clinic_contents(cursor, settings, about)
        entries = {clinic: _link(clinic, content, previous, half) for clinic, content in contents.items()}
        changed = [clinic for clinic, entry in entries.items() if entry is None]
        if changed:
            publication.assemble(cursor, changed, settings, about)
            publication.check_safety_nets(cursor)
        for clinic in changed:
            entries[clinic] = _write(cursor, clinic, contents[clinic], half, about)
        group = clinic_files.write_group(
            half, [half / f"{clinic}.parquet" for clinic in entries if clinic != UNASSIGNED]
        )
    _settle(group)
    shutil.rmtree(half / "spill", ignore_errors=True)
    return {
        "format": FORMAT,
        "previous": previous["snapshot_id"] if previous else None,
        "versions": about.versions,
        "evidence_basis": about.evidence_basis,
        "training": about.training,
        "banner": about.banner,
        "clinics": entries,
        "group": {group.name: _facts(group)},
    }


def _write(
    cursor: duckdb.DuckDBPyConnection, clinic: str, content: ClinicContent, half: Path, about: Publication
) -> dict[str, Any]:
    """A changed clinic's files; gives its entry in the manifest."""
    rows = clinic_files.write_clinic(cursor, clinic, half, about)
    files = [half / f"{clinic}.duckdb", half / f"{clinic}.parquet"]
    unread = clinic_files.unread_counts(files[0])
    for file in files:
        _settle(file)
    return {
        "fingerprint": content.fingerprint,
        "data_kinds": list(content.data_kinds),
        "rows": rows,
        **unread,
        "files": {file.name: _facts(file) for file in files},
        "linked_from": None,
    }


def _link(clinic: str, content: ClinicContent, previous: dict[str, Any] | None, half: Path) -> dict[str, Any] | None:
    """Link an unchanged clinic's files from the snapshot before; None if it changed or its files are not all there."""
    entry: dict[str, Any] | None = previous["clinics"].get(clinic) if previous else None
    if previous is None or entry is None or entry["fingerprint"] != content.fingerprint:
        return None
    source = half.parent / previous["snapshot_id"]
    for name, facts in entry["files"].items():
        file = source / name
        if not file.is_file() or file.stat().st_size != facts["bytes"]:
            return None
    for name in entry["files"]:
        _link_or_copy(source / name, half / name)
    return entry | {"linked_from": previous["snapshot_id"]}


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        # some file systems cannot link, or not as often
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EXDEV, errno.ENOSYS):
            raise
        shutil.copyfile(source, target)
        _settle(target)


def _previous(home: Home) -> dict[str, Any] | None:
    try:
        return dict(current_snapshot(home).manifest)
    except SnapshotMissing:
        return None


def _facts(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened_file:
        return {"sha256": hashlib.file_digest(opened_file, "sha256").hexdigest(), "bytes": file.stat().st_size}


def _settle(file: Path) -> None:
    """A finished file: on the disk, and nobody's to write."""
    if file.with_name(f"{file.name}.wal").exists():
        raise WarehouseRefused("a published file was left unfinished; nothing was published")
    file.chmod(0o400)
    _sync(file)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_manifest(half: Path, manifest: dict[str, Any]) -> None:
    file = half / "manifest.json"
    file.write_text(json.dumps(manifest, indent=1), "utf-8")
    _settle(file)


def _seal(half: Path, final: Path) -> None:
    _sync(half)
    half.rename(final)
    _sync(final.parent)


def _swap_pointer(home: Home, snapshot_id: str) -> None:
    half = home.snapshots / f"{HALF}{POINTER}"
    half.write_text(f"{snapshot_id}\n", "utf-8")
    _sync(half)
    half.replace(home.snapshots / POINTER)
    _sync(home.snapshots)


def _retire(home: Home, current: str, now: datetime) -> None:
    """Remove snapshots that are neither among the newest nor young enough, never the current one.

    A folder is renamed first, so that a kill in the middle leaves something the next sweep removes.
    """
    settings = home.settings()
    # ids begin with the time, so their order is that of publication
    found = sorted((entry.name for entry in home.snapshots.iterdir() if _is_snapshot(entry)), reverse=True)
    oldest_kept = f"{now - timedelta(days=settings.snapshot_days):%Y%m%dT%H%M%S%f}Z"
    for name in found[settings.snapshots_kept :]:
        if name != current and name < oldest_kept:
            removed = home.snapshots / f"{HALF}{name}"
            (home.snapshots / name).rename(removed)
            shutil.rmtree(removed)


def _is_snapshot(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(HALF)


def _sweep(home: Home) -> None:
    """Remove what a killed publisher left; the caller holds the lock, so nobody is still making it."""
    for entry in home.snapshots.glob(f"{HALF}*"):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
