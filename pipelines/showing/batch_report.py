"""What the UI shows of one batch: its counts and state on each table, and its own checks.

Belongs here: from what the tables say of a batch (``warehouse.intake_checks``) to metadata and check results, in
counts, codes and plain words. Does not belong here: loading (``warehouse.intake``), the graph (``pipelines.defs``).

A check that is red never fails the step. What must not be published was kept out when the batch was loaded, in the
same transaction; failing the step as well would stop the other batches, and an emergency may be among them.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from pipelines.showing.next_step import next_step
from schemas.problems import problems
from warehouse import ledger
from warehouse.intake_checks import Looked

TABLES = ("intake_raw", "intake_valid", "intake_warning", "intake_quarantine")
CONTRACT, RECONCILIATION, LOADED, REFUSALS = "contract", "reconciliation", "loaded", "refusals"
CHECKED = {CONTRACT: "intake_valid", RECONCILIATION: "intake_raw", LOADED: "intake_raw", REFUSALS: "intake_quarantine"}
_DAMAGE = "hiptriage doctor says whether the warehouse is whole; a damaged one comes back from a backup"


def metadata_of(looked: Looked, table: str) -> dict[str, object]:
    """Metadata of a batch's materialisation on ``table``: state in words, counts as on arrival, where it came from."""
    counts = looked.counts
    rows = {
        "intake_raw": counts.received,
        "intake_valid": counts.accepted + counts.superseded if counts.contents == "intake" else 0,
        "intake_quarantine": counts.quarantined,
    }
    said: dict[str, object] = {
        "state": ledger.state(counts),
        "in words": ledger.sentence(counts),
        "clinic": looked.clinic or "several",
        "received at": looked.received_at,
        "data kind": looked.data_kind,
        "contents": counts.contents,
        "read as": counts.read_as,
    }
    if counts.refusal:
        said["refused"] = counts.refusal
    if table in rows:
        said["dagster/row_count"] = rows[table]
    return said | counts.counts


def evaluations(batches: Sequence[Looked]) -> Iterator[dg.AssetCheckEvaluation]:
    """The checks of each batch. The head of a check's page shows one batch of the last run, whichever Dagster planned
    last, so no order given here would bring a red one to it: the check's Partitions show each.
    """
    for looked in batches:
        yield from _of_batch(looked)


def reported(looked: Looked) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """All that Dagster should know of a loaded batch, for one that it did not see being loaded."""
    for table in TABLES:
        yield dg.AssetMaterialization(table, partition=looked.counts.batch_id, metadata=metadata_of(looked, table))
    yield from evaluations([looked])


def _of_batch(looked: Looked) -> Iterator[dg.AssetCheckEvaluation]:
    yield _evaluation(looked, CONTRACT, not (looked.held_back or looked.broken), _contract(looked))
    yield _evaluation(looked, RECONCILIATION, looked.adds_up, _reconciliation(looked))
    yield _evaluation(looked, LOADED, not looked.refused, _loaded(looked))
    yield _evaluation(looked, REFUSALS, not (looked.waiting_records or looked.refused), _refusals(looked))


def _evaluation(looked: Looked, check: str, passed: bool, metadata: Mapping[str, object]) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(CHECKED[check]),
        check_name=check,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if check == REFUSALS else dg.AssetCheckSeverity.ERROR,
        partition=looked.counts.batch_id,
        blocking=False,
        metadata=metadata,
    )


def _contract(looked: Looked) -> dict[str, object]:
    said: dict[str, object] = {
        "records held back because they would have broken the contract": looked.held_back,
        "stored records that break the contract": looked.broken,
    }
    if looked.broken:
        return said | {"next step": f"stored answers do not keep the contract of this version: {_DAMAGE}"}
    if looked.held_back:
        return said | next_step(
            "replay_quarantine",
            "a defect of the program: they stand among the forms that could not be read until an update; then replay",
        )
    return said


def _reconciliation(looked: Looked) -> dict[str, object]:
    said: dict[str, object] = {"received": looked.counts.received}
    if looked.adds_up:
        return said
    return said | {"next step": f"the tables do not hold what was counted when the batch came in: {_DAMAGE}"}


def _loaded(looked: Looked) -> dict[str, object]:
    counts = looked.counts
    if not counts.refusal:
        return {"refused": "no"}
    said: dict[str, object] = {"refused": counts.refusal, "why": counts.refused_because or ""}
    if counts.refusal_place:
        said["error of the program"] = counts.refusal_place
    if not looked.refused:
        return said | {"since then": "a replay could read the file"}
    mend = problems()[counts.refusal].mend
    return said | next_step("replay_quarantine", f"{mend}; what was mended here is tried again by this job")


def _refusals(looked: Looked) -> dict[str, object]:
    said: dict[str, object] = {"forms that could not be read and wait": looked.waiting_records, **looked.waiting}
    if looked.refused:
        said[str(looked.counts.refusal)] = "the whole file"
    if not (looked.waiting_records or looked.refused):
        return said
    return said | next_step(
        "replay_quarantine",
        "hiptriage quarantine list says why; after a change of mapping this job tries them again, a mended file is a "
        "new file, and a form that a person has dealt with is taken off the list by the job dismiss_refused",
    )
