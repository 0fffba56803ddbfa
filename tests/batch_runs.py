"""Runs of the real jobs over batches, in this process, and what Dagster then shows of each batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import dagster as dg

from pipelines.definitions import hiptriage as definitions
from pipelines.runs.batches_under_way import tags_of

Told = dict[str, dict[str, Any]]


def run(instance: dg.DagsterInstance, job: str, batches: Sequence[str] = ()) -> dg.ExecuteInProcessResult:
    """Run ``job``, over a stretch of batches where it needs them; it may fail."""
    if batches:
        instance.add_dynamic_partitions("batch", [*batches])
    tags = tags_of(batches) if batches else {}
    return _definitions().resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False)


@cache
def _definitions() -> dg.Definitions:
    return definitions()


def materialised(result: dg.ExecuteInProcessResult, table: str) -> Told:
    """Metadata of each batch on ``table``, as this run reported it."""
    return {
        str(event.partition): _plain(event.materialization.metadata)
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(table)
    }


def checked(result: dg.ExecuteInProcessResult, check: str) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Whether each batch passed ``check`` in this run, and with what metadata."""
    return {
        str(evaluation.partition): (evaluation.passed, _plain(evaluation.metadata))
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == check
    }


def shown(instance: dg.DagsterInstance, table: str, batch: str) -> dict[str, Any]:
    """Metadata of the latest materialisation of one batch, as the UI shows it."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(table), asset_partitions=[batch])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization
    return _plain(record.asset_materialization.metadata)


def red(instance: dg.DagsterInstance, table: str, check: str) -> set[str]:
    """Batches whose latest evaluation of ``check`` did not pass, as the UI shows them."""
    key = dg.AssetCheckKey(dg.AssetKey(table), check)
    latest: dict[str, bool] = {}
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=1000):
        if record.evaluation:
            latest.setdefault(str(record.partition), record.evaluation.passed)
    return {batch for batch, passed in latest.items() if not passed}


def _plain(metadata: Any) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in metadata.items()}
