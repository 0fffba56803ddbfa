"""Runs, sensors and schedules of Dagster that failed, counted by their names.

Belongs here: asking the instance. Does not belong here: what a failure says (``pipelines.failures`` keeps it plain, and
the UI shows it), wording (``pipelines.alerting.composing``).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from pipelines.alerting.composing import Failed
from pipelines.defs.intake import LEFT_FOR_LONG
from warehouse.home import Home

PUBLISHING_STEPS = ("snapshot", "publish")  # words of the steps that publish, in the graph and in jobs
LANDING_CHECK = dg.AssetCheckKey(dg.AssetKey("landed_files"), "nothing_waits")
MANY = 200  # runs looked at one by one; more are counted by their job alone


def failed_between(instance: dg.DagsterInstance, since: datetime, until: datetime) -> Failed:
    """Runs that ended in failure and ticks that failed after ``since`` and before ``until``."""
    records = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            updated_after=since.astimezone(UTC),
            updated_before=until.astimezone(UTC),
        )
    )
    counts: Counter[str] = Counter()
    held = 0
    for place, record in enumerate(records):
        steps = _failed_steps(instance, record.dagster_run.run_id) if place < MANY else []
        if any(word in step for step in steps for word in PUBLISHING_STEPS):
            held += 1
        else:
            counts[", ".join([record.dagster_run.job_name, *steps])] += 1
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            after=since.timestamp(),
            before=until.timestamp(),
            statuses=[TickStatus.FAILURE],
        )
        if ticks:
            counts[f"{state.instigator_type.value.lower()} {state.instigator_name}"] += len(ticks)
    return Failed(counts, held, _left_in_landing(instance))


def _left_in_landing(instance: dg.DagsterInstance) -> int:
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([LANDING_CHECK])
    record = records.get(LANDING_CHECK)
    event = record.event.dagster_event if record and record.event else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return 0
    said = event.asset_check_evaluation_data.metadata.get(LEFT_FOR_LONG)
    return int(str(said.value)) if said else 0


def _failed_steps(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in records]
    return sorted({event.step_key for event in events if event and event.step_key})


@contextmanager
def failures_of(home: Home) -> Iterator[Callable[[datetime, datetime], Failed]]:
    """``failed_between`` over the instance of ``home``; where Dagster never ran there, nothing failed."""
    if not (home.dagster / "dagster.yaml").exists():
        yield lambda _since, _until: Failed({}, 0)
        return
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        yield lambda since, until: failed_between(instance, since, until)
