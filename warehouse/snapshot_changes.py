"""What changed between the published snapshot and the one before it: tiers before and after, in counts.

Belongs here: comparing two published tables. Does not belong here: counting in the warehouse
(``warehouse.monitoring``), hiding small counts (``models.monitoring.suppression``). Reads snapshots alone: it neither
waits for the warehouse nor holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from warehouse.home import Home
from warehouse.publication import quoted
from warehouse.snapshot_reading import UNASSIGNED, SnapshotMissing, current_snapshot, read_manifest

NOT_THERE = "not in the table"


@dataclass(frozen=True, slots=True)
class SnapshotChanges:
    """``tiers``: records by effective tier before (rows) and after (columns); ``NOT_THERE`` where only one has them.

    ``before`` and ``after``: ids of the snapshots. ``unread``: forms that could not be read, before and after.
    """

    before: str
    after: str
    tiers: Mapping[str, Mapping[str, int]]
    unread: tuple[int, int]


def snapshot_changes(home: Home) -> SnapshotChanges | None:
    """The change from the snapshot before to the current one; None where there are not two, or one is gone.

    Clinics whose files were linked did not change; their records are counted where they stand.
    """
    try:
        current = current_snapshot(home)
        named = current.manifest["previous"]
        if not named:
            return None
        earlier = read_manifest(home.snapshots / named)
    except SnapshotMissing:
        return None
    unread = tuple(sum(of["unread"] for of in said["clinics"].values()) for said in (earlier, current.manifest))
    sides = [
        [home.snapshots / name / f"{clinic}.parquet" for clinic in said["clinics"] if clinic != UNASSIGNED]
        for name, said in ((named, earlier), (current.id, current.manifest))
    ]
    columns = "clinic_id, record_id, effective_tier"
    tables = [
        f"SELECT {columns} FROM read_parquet([{', '.join(map(quoted, files))}])"
        if files
        else "SELECT '' AS clinic_id, '' AS record_id, '' AS effective_tier LIMIT 0"
        for files in sides
    ]
    connection = duckdb.connect(":memory:", config={"memory_limit": "800MB", "threads": 2})
    try:
        rows = connection.execute(
            f"SELECT coalesce(b.effective_tier, $gone), coalesce(a.effective_tier, $gone), count(*) "
            f"FROM ({tables[0]}) b FULL JOIN ({tables[1]}) a USING (clinic_id, record_id) GROUP BY ALL",
            {"gone": NOT_THERE},
        ).fetchall()
    except duckdb.Error:
        return None  # an old snapshot was removed meanwhile
    finally:
        connection.close()
    found: dict[str, dict[str, int]] = {}
    for before, after, n in rows:
        found.setdefault(before, {})[after] = n
    return SnapshotChanges(named, current.id, found, (unread[0], unread[1]))
