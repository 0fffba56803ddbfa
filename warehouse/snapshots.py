"""Publishing: an immutable folder for each snapshot, and a pointer that is swapped in one step.

Belongs here: the order of steps, so that whoever reads sees the old snapshot whole or the new one whole, whenever
the publisher is killed. Does not belong here: building the files and what they have to show
first (``warehouse.snapshot_building``), retention (``warehouse.snapshot_retention``), reading
(``warehouse.snapshot_reading``).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse import answers_writing, audit, publication, quarantine_copy
from warehouse.disk import sync
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.publication import Publication
from warehouse.publish_gate import Finding, Override
from warehouse.snapshot_building import Built, build, kept_rows
from warehouse.snapshot_files import damaged, settle
from warehouse.snapshot_reading import POINTER, UNASSIGNED, SnapshotMissing, read_manifest
from warehouse.snapshot_retention import HALF, held_up_to, retire
from warehouse.store import kept_open, opened
from warehouse.tier_gate import PublishLimits
from warehouse.withdrawing import erasure


class NotReinstated(Exception):
    """An earlier snapshot cannot become the current one again; the message is one clause that says why."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: clinics, referrals, forms that could not be read, and how many clinics were only linked.

    ``gate``: what the publish gate found. ``kept``: referrals that keep an earlier, more urgent tier because nobody
    let the lower one pass; while there are any, the publication is told as held on every surface.
    """

    snapshot_id: str
    clinics: int
    referrals: int
    unread: int
    unread_emergency: int
    linked: int
    path: Path
    gate: tuple[Finding, ...] = ()
    kept: int = 0


def publish(
    home: Home, *, about: Publication, limits: PublishLimits | None = None, override: Override | None = None
) -> Published:
    """Publish the warehouse as a new snapshot and make it the current one.

    ``limits``: how far tiers may be lowered without anybody's word; without them, not at all. Beyond them the records
    concerned keep their earlier tier, unless ``override`` or a change of model that waits to be published says whose
    word it is. Raises WarehouseBusy, SettingsRefused, PublicationHeld where the gate finds the files wrong, and
    WarehouseRefused where a record has no score, the counts do not agree or DuckDB fails; the current snapshot then
    stays as it was.
    """
    with holding(home, publication.PURPOSE):
        erasure.go_on(home)
        _sweep(home)
        with kept_open(home, publication.PURPOSE):
            # Before anything else, so that no row is shown before its answers are there; and where the gate holds the
            # table back, the answers of an erased record are gone all the same.
            answers_writing.bring_up_to_date(home)
            published_at = datetime.now(UTC)
            snapshot_id = f"{published_at:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(3)}"
            half = home.snapshots / f"{HALF}{snapshot_id}"
            half.mkdir(mode=0o700)
            try:
                built = build(home, half, about, limits or PublishLimits(), override)
                manifest = built.manifest | {"snapshot_id": snapshot_id, "published_at": published_at.isoformat()}
                # Before the pointer: a run killed in between finds no snapshot of its change and does both again.
                quarantine_copy.replace(home)
                # The head after this entry: the manifest names what says that it was published.
                head = _enter(home, manifest, built, about, override)
                _write_manifest(half, manifest | {"audit": asdict(head)})
            except BaseException:
                shutil.rmtree(half, ignore_errors=True)
                raise
            _seal(half, home.snapshots / snapshot_id)
            _swap_pointer(home, snapshot_id)
            retire(home, snapshot_id, published_at)
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
        gate=tuple(built.gate),
        kept=kept_rows(manifest),
    )


def content_hash(manifest: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of all that a manifest says but its place in the audit, whose entry names this hash."""
    said = {name: value for name, value in manifest.items() if name != "audit"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def reinstate(home: Home, snapshot_id: str, versions: Mapping[str, str]) -> None:
    """Make an earlier snapshot the current one again.

    ``versions``: what it must have been made by, names as in ``Publication.versions``. Raises NotReinstated, and
    leaves the current one, where it is not whole, was made by other versions, or anything was taken in since: records
    and decisions come in as files, and each file that is loaded is entered in the audit. So is a record that was
    withdrawn since, or shown again. Raises WarehouseBusy too.
    """
    with holding(home, publication.PURPOSE):
        try:
            manifest = read_manifest(home.snapshots / snapshot_id)
        except SnapshotMissing:
            raise NotReinstated("the table published before is no longer kept") from None
        if damaged(home.snapshots / snapshot_id, manifest):
            raise NotReinstated("the table published before is not whole any more")
        if any(manifest["versions"].get(name) != version for name, version in versions.items()):
            raise NotReinstated("the program or its knowledge changed since the table before was published")
        with opened(home, publication.PURPOSE) as connection:
            news = audit.news_since(connection, held_up_to(manifest))
            ((records,),) = connection.execute("SELECT count(*) FROM intake_current").fetchall()
            # Hiding a record and showing it again is no news of files.
            if "withdrawal" in news:
                raise NotReinstated("a record was withdrawn or shown again since the table before was published")
            if news or records != sum(entry["rows"]["referrals"] for entry in manifest["clinics"].values()):
                raise NotReinstated("new forms came in since the table before was published")
            audit.enter(
                connection,
                "publication",
                subject=snapshot_id,
                reason="an earlier snapshot is current again",
                versions=manifest["versions"],
                counts={"referrals": records},
            )
        _swap_pointer(home, snapshot_id)


def _enter(
    home: Home, manifest: Mapping[str, Any], built: Built, about: Publication, override: Override | None
) -> audit.Head:
    """Enter the publication in the audit, after the override where one lets something pass; gives the new head."""
    passed = [finding for finding in built.gate if finding.state == "overridden"]
    counts = built.tiers | {"clinics": len(manifest["clinics"]) - 1, "kept": kept_rows(manifest)}
    reason = "; ".join(f"{finding.name}: {finding.found}" for finding in passed)
    with opened(home, "enter a publication") as connection:
        if passed and override:
            audit.enter(
                connection,
                "override",
                subject=manifest["snapshot_id"],
                by=override.by,
                reason=override.reason,
                versions=about.versions,
            )
        return audit.enter(
            connection,
            "publication",
            subject=manifest["snapshot_id"],
            reason=reason,
            versions=about.versions | {"content": content_hash(manifest)},
            counts=counts,
        )


def _write_manifest(half: Path, manifest: dict[str, Any]) -> None:
    file = half / "manifest.json"
    file.write_text(json.dumps(manifest, indent=1), "utf-8")
    settle(file)


def _seal(half: Path, final: Path) -> None:
    sync(half)
    half.rename(final)
    sync(final.parent)


def _swap_pointer(home: Home, snapshot_id: str) -> None:
    half = home.snapshots / f"{HALF}{POINTER}"
    half.write_text(f"{snapshot_id}\n", "utf-8")
    sync(half)
    half.replace(home.snapshots / POINTER)
    sync(home.snapshots)


def _sweep(home: Home) -> None:
    """Remove what a killed publisher left; the caller holds the lock, so nobody is still making it."""
    for entry in home.snapshots.glob(f"{HALF}*"):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
