"""Building a snapshot's files in a half-made folder, as far as the publish gate lets them.

Belongs here: which clinics are only linked, the order of assembling, gate and writing, what the manifest says. Does not
belong here: making the folder the current one (``warehouse.snapshots``), the tables (``warehouse.publication``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from warehouse import clinic_files, model_history, publication, publish_gate, scores, tier_gate
from warehouse.home import Home
from warehouse.publication import ClinicContent, Publication
from warehouse.publish_gate import Finding, Override
from warehouse.scores import Versions
from warehouse.snapshot_files import facts_of, is_whole, link_or_copy, settle
from warehouse.snapshot_reading import FORMAT, UNASSIGNED, SnapshotMissing, current_snapshot
from warehouse.snapshot_retention import in_order
from warehouse.store import WarehouseRefused
from warehouse.tier_gate import PublishLimits


@dataclass(frozen=True, slots=True)
class Built:
    """A snapshot's files in their half-made folder: its manifest so far, the gate's findings, referrals by tier."""

    manifest: dict[str, Any]
    gate: list[Finding]
    tiers: dict[str, int]


def build(home: Home, half: Path, about: Publication, limits: PublishLimits, override: Override | None) -> Built:
    """All files of the snapshot but its manifest, in the half-made folder, as far as the publish gate lets them."""
    settings = home.settings()
    previous = _previous(home)
    with publication.assembling(home) as cursor:
        change = model_history.waiting_change(cursor)
        agreed = bool(override or change)
        contents = publication.clinic_contents(cursor, settings, about)
        entries = {clinic: _link(clinic, content, previous, half, agreed) for clinic, content in contents.items()}
        changed = [clinic for clinic, entry in entries.items() if entry is None]
        publication.assemble(cursor, changed, settings, about)
        before = _before(home, previous, changed)
        files = [file for file, _ in before]
        lowered = tier_gate.compare(cursor, files)
        # A change of model is a word on what the model changes, and on nothing that rules or catalogue change with it.
        unagreed = tier_gate.compare(cursor, files, but_by_model=True) if change else lowered
        # What was held stays held, also where the rest of the table is no part of this publication or few are left.
        held_before = any(held for _, held in before)
        kept: dict[str, int] = {}
        if not override and (unagreed.beyond(limits) or (held_before and unagreed.lowered)):
            kept = tier_gate.keep(cursor)
            publication.assemble(cursor, changed, settings, about, with_kept=True)
            tier_gate.check_kept(tier_gate.compare(cursor, files, but_by_model=change is not None))
        publication.check_safety_nets(cursor)
        for clinic in changed:
            entries[clinic] = _write(cursor, clinic, contents[clinic], half, about) | {"kept": kept.get(clinic, 0)}
        named = [half / f"{clinic}.parquet" for clinic in entries if clinic != UNASSIGNED]
        group = clinic_files.write_group(half, named)
        _settle(group)
        manifest = {
            "format": FORMAT,
            "previous": previous["snapshot_id"] if previous else None,
            "versions": about.versions,
            "evidence_basis": about.evidence_basis,
            "training": about.training,
            "banner": about.banner,
            "clinics": entries,
            "group": {group.name: facts_of(group)},
            "scores": scores.count(cursor, _scored_by(about)),
            "looked_at": scores.looked_at(cursor, about.rules_version),
        }
        gate = publish_gate.findings_on_files(cursor, changed, group, about)
        gate.append(tier_gate.finding(lowered, limits, kept=kept_rows(manifest), override=override, change=change))
    return Built(manifest, gate, clinic_files.tier_counts(named))


def kept_rows(manifest: Mapping[str, Any]) -> int:
    """How many referrals keep an earlier, more urgent tier in the snapshot of this manifest."""
    return sum(int(entry.get("kept", 0)) for entry in manifest["clinics"].values())


def _scored_by(about: Publication) -> Versions:
    return Versions(about.model_version, about.catalogue_version, about.rules_version, about.contract_version)


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
        "files": {file.name: facts_of(file) for file in files},
        "linked_from": None,
    }


def _link(
    clinic: str, content: ClinicContent, previous: dict[str, Any] | None, half: Path, agreed: bool
) -> dict[str, Any] | None:
    """Link an unchanged clinic's files from the snapshot before; None if it changed or its files are not whole.

    ``agreed``: tiers that were kept may be lowered now, so files that hold such a row are written anew.
    """
    entry: dict[str, Any] | None = previous["clinics"].get(clinic) if previous else None
    if previous is None or entry is None or entry["fingerprint"] != content.fingerprint:
        return None
    source = half.parent / previous["snapshot_id"]
    if agreed and entry.get("kept", 0):
        return None
    if not all(is_whole(source / name, facts) for name, facts in entry["files"].items()):
        return None
    for name in entry["files"]:
        link_or_copy(source / name, half / name)
    return entry | {"linked_from": previous["snapshot_id"]}


def _before(home: Home, previous: dict[str, Any] | None, clinics: list[str]) -> list[tuple[Path, bool]]:
    """The Parquet file that the table before has of each of these clinics, and whether rows of it were held.

    Where that table or the file is gone or damaged, the newest whole file of an older table that is kept stands in for
    it: a damaged disk lets no tier down.
    """
    left = set(clinics)
    if previous is not None:
        left &= previous["clinics"].keys()
    found = []
    for folder, manifest in _newest_first(home, previous):
        if not left:
            break
        for clinic in sorted(left & manifest["clinics"].keys()):
            entry, file = manifest["clinics"][clinic], folder / f"{clinic}.parquet"
            if is_whole(file, entry["files"][file.name]):
                left.remove(clinic)
                found.append((file, bool(entry.get("kept", 0))))
    return found


def _newest_first(home: Home, previous: dict[str, Any] | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The table before, then every other one that is kept and has a manifest, the newest first."""
    if previous is not None:
        yield home.snapshots / previous["snapshot_id"], previous
    yield from ((folder, manifest) for folder, manifest in reversed(in_order(home)) if manifest)


def _previous(home: Home) -> dict[str, Any] | None:
    try:
        return dict(current_snapshot(home).manifest)
    except SnapshotMissing:
        return None


def _settle(file: Path) -> None:
    if file.with_name(f"{file.name}.wal").exists():
        raise WarehouseRefused("a published file was left unfinished; nothing was published")
    settle(file)
