"""What ``hiptriage doctor`` looks at in a home: one finding a line.

Belongs here: reading state and saying what is wrong. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.mapping.mapping_file import MappingRefused, load_mapping
from warehouse.answer_rates import RECORDS_WITHOUT_ONE, never_stated
from warehouse.archive import is_whole
from warehouse.finding import Finding
from warehouse.home import Home, SettingsRefused
from warehouse.lock import WarehouseBusy, holding
from warehouse.people_checkup import check_people
from warehouse.published_checkup import check_audit, check_published
from warehouse.reading_plan import mapping_files
from warehouse.store import WarehouseRefused, opened

OTHERS_MAY = 0o077


def check_home(home: Home) -> Iterator[Finding]:
    """Look at folder, settings, mappings, lock, warehouse, archive, ledger, answers and snapshot of a home."""
    yield _folder(home)
    try:
        settings = home.settings()
        yield Finding("ok", "settings can be read")
    except SettingsRefused as refused:
        yield Finding("wrong", str(refused))
        return
    yield from check_people(settings)
    yield from _mappings(home)
    if not home.warehouse.exists():
        yield Finding("note", "no warehouse yet: it is made by the first hiptriage run")
        return
    try:
        with holding(home, "hiptriage doctor"):
            yield Finding("ok", "nobody holds the warehouse")
            yield from _warehouse(home)
    except WarehouseBusy as busy:
        yield Finding("note", str(busy))
    yield from check_published(home)


def _folder(home: Home) -> Finding:
    if not home.root.exists():
        return Finding("note", f"the home {home.root} does not exist yet: it is made by the first hiptriage run")
    if home.root.stat().st_mode & OTHERS_MAY:
        return Finding("wrong", f"others on this machine may look into {home.root}: chmod 700 it")
    return Finding("ok", f"the home is {home.root}, open to its owner alone")


def _mappings(home: Home) -> Iterator[Finding]:
    for place, folder in enumerate([home.mappings, *sorted(p for p in home.mappings.glob("*") if p.is_dir())]):
        for file in mapping_files(folder):
            where = f"mapping {file.stem}" + (f" of {folder.name}" if place else "")
            try:
                mapping = load_mapping(file.read_bytes())
            except (MappingRefused, OSError) as refused:
                yield Finding("wrong", f"{where} cannot be used: {refused}")
            else:
                signed = "signed" if mapping.signed else "not signed"
                yield Finding("ok", f"{where} can be used: {mapping.described}, {signed}")


def _warehouse(home: Home) -> Iterator[Finding]:
    try:
        with opened(home, "check the warehouse") as connection:
            archived = connection.execute("SELECT sha256, batch_id FROM intake_archived ORDER BY batch_id").fetchall()
            unbalanced = connection.execute(
                "SELECT batch_id FROM intake_ledger WHERE received <> accepted + quarantined + duplicate + superseded"
            ).fetchall()
            waiting = connection.execute(
                "SELECT count(*) FROM intake_file ANTI JOIN intake_ledger USING (batch_id)"
            ).fetchall()[0][0]
            audited = check_audit(home, connection)
    except WarehouseRefused as refused:
        yield Finding("wrong", str(refused))
        return
    yield Finding("ok", f"the warehouse opens and holds {len(archived)} files")
    yield audited
    damaged = [batch_id for sha256, batch_id in archived if not is_whole(home.archive / sha256, sha256)]
    if damaged:
        yield Finding("wrong", f"archived bytes are missing or changed: {', '.join(damaged)}")
    else:
        yield Finding("ok", "every file in the archive still has its hash")
    if unbalanced:
        yield Finding("wrong", f"counts do not add up: {', '.join(batch_id for (batch_id,) in unbalanced)}")
    else:
        yield Finding("ok", "received = accepted + quarantined + duplicate + superseded, for every batch")
    for clinic, columns in never_stated(home).items():
        yield Finding(
            "note",
            f"{clinic}: never answered yes in {RECORDS_WITHOUT_ONE} records or more, so look at form and mapping: "
            f"{', '.join(columns)}",
        )
    if waiting:
        yield Finding("note", f"{waiting} files wait to be loaded: hiptriage run")
