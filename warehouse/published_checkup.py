"""Looking at what is published: every byte of the kept snapshots, and the audit that their manifests hold on to.

Belongs here: looking and saying what is wrong, for ``warehouse.checkup``. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from warehouse import answers_writing, audit
from warehouse.finding import Finding
from warehouse.home import Home
from warehouse.snapshot_files import damaged
from warehouse.snapshot_reading import SnapshotMissing, current_snapshot
from warehouse.snapshot_retention import in_order
from warehouse.snapshots import content_hash


def check_audit(home: Home, connection: duckdb.DuckDBPyConnection) -> Finding:
    """Whether the chain of the audit is whole and holds what the kept snapshots say of it.

    Each manifest names the entry of its own publication with its hash, and that entry names the manifest's content: an
    entry changed, taken away, put elsewhere or cut off the end shows, and so does a manifest that was changed.
    """
    manifests = [manifest for _, manifest in in_order(home) if manifest and "audit" in manifest]
    anchors = {int(manifest["audit"]["entries"]): str(manifest["audit"]["hash"]) for manifest in manifests}
    broken = audit.first_broken(connection, anchors)
    if broken is not None:
        return Finding("wrong", f"the audit is not as it was written: entry {broken} is the first that is broken")
    foreign = [str(manifest["snapshot_id"]) for manifest in manifests if not _is_entered(connection, manifest)]
    if foreign:
        return Finding("wrong", f"snapshots that are not what the audit says was published: {', '.join(foreign)}")
    entries = audit.head(connection).entries
    return Finding("ok", f"the audit is whole: {entries} entries, and the {len(anchors)} kept snapshots agree with it")


def _is_entered(connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> bool:
    rows = connection.execute(
        "SELECT versions FROM audit WHERE entry_number = ? AND event = 'publication' AND subject = ?",
        [manifest["audit"]["entries"], manifest["snapshot_id"]],
    ).fetchall()
    return bool(rows) and json.loads(rows[0][0]).get("content") == content_hash(manifest)


def check_published(home: Home) -> Iterator[Finding]:
    """Whether there is a current snapshot, whole and not stale, without held tiers; which kept ones are damaged."""
    current = ""
    try:
        snapshot = current_snapshot(home)
    except SnapshotMissing as missing:
        yield Finding("wrong" if list(in_order(home)) else "note", str(missing))
    else:
        current = snapshot.id
        if damaged(snapshot.path, snapshot.manifest):
            yield Finding("wrong", f"snapshot {current} is current and damaged: hiptriage run publishes a new one")
        elif snapshot.stale:
            yield Finding("note", f"snapshot {current} is stale: hiptriage run publishes a new one")
        else:
            yield Finding("ok", f"snapshot {current} is current, and every byte of it is as it was published")
        yield answers_writing.finding(home, snapshot)
        if kept := snapshot.kept():
            yield Finding(
                "wrong",
                f"the publish gate is red: {kept} rows keep an earlier, more urgent tier until somebody lets the lower "
                "one pass: hiptriage run --override-reason TEXT --by NAME",
            )
    older = [
        folder.name
        for folder, manifest in in_order(home)
        if folder.name != current and (manifest is None or damaged(folder, manifest))
    ]
    if older:
        yield Finding("note", f"kept snapshots that are damaged and cannot be gone back to: {', '.join(older)}")
