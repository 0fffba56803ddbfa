"""Scoring and publication follow: declarative automation, and a sensor for what was left over."""

import json
import time

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import automation_settings
from pipelines.runs.batches_under_way import IN_PROGRESS
from pipelines.runs.following import FIRST
from pipelines.runs.trying_again import Attempts
from pipelines.unpublished import unpublished
from warehouse.home import Home
from warehouse.lock import WarehouseBusy
from warehouse.unchanged import state_of

# How long what is not published may stand with no run at work before the sensor steps in: declarative automation has
# had two ticks and more by then.
PATIENCE_SECONDS = 2.0 * automation_settings().following_seconds + 30
# A snapshot grows old without any write, so a quiet home is looked at again after this time.
QUIET_SECONDS = 900.0
# Runs of these jobs publish nothing, and no emergency waits for them.
BESIDE = ("landing", "train_and_evaluate", "checks", "monitoring", "shadow")
_WORK = "unpublished"

automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=automation_settings().following_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    run_tags=FIRST,
    description="Lets unread_forms, referral_score and snapshot follow when batches were loaded or the model in force "
    "changed: one run for all three. A batch that failed holds nothing up.",
)


@dg.sensor(
    job_name="score_and_publish",
    minimum_interval_seconds=automation_settings().following_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the job score_and_publish when the warehouse holds what no snapshot shows and no run is at "
    "work on it: after a failed run, a change that a process died over, an update of rules or catalogue, or before the "
    "snapshot would be marked stale. Tried again after 5, 10, 20, 40 and then every 60 minutes.",
)
def unpublished_work(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Ask once; the cursor holds since when something waits, the attempts, and how a home looked with nothing left."""
    quiet, quiet_at, since, attempts = _remembered(context.cursor)
    now = time.time()
    with without_patient_values("unpublished work"):
        home = Home.from_environment()
        state = state_of(home)
        if state == quiet and 0 <= now - quiet_at < QUIET_SECONDS:
            return dg.SensorResult(skip_reason="everything is published", cursor=context.cursor)
        if any(run.job_name not in BESIDE for run in context.instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))):
            return dg.SensorResult(skip_reason="runs are at work", cursor=_memory("", 0, 0, attempts))
        try:
            waits = unpublished(home)
        except WarehouseBusy as busy:
            return dg.SensorResult(skip_reason=f"{busy}: looked at again", cursor=_memory("", 0, 0, attempts))
    if not waits:
        return dg.SensorResult(skip_reason="everything is published", cursor=_memory(state, now, 0, Attempts("")))
    since = since or now
    if 0 <= now - since < PATIENCE_SECONDS or not attempts.due([_WORK]):
        return dg.SensorResult(skip_reason=f"{waits}: left to others so far", cursor=_memory("", 0, since, attempts))
    attempts.asked([_WORK])
    return dg.SensorResult(
        [dg.RunRequest(f"{_WORK}-{attempts.slot()}", tags=FIRST)], cursor=_memory("", 0, since, attempts)
    )


def _remembered(cursor: str | None) -> tuple[str, float, float, Attempts]:
    try:
        quiet, quiet_at, since, tried = json.loads(cursor or "[]")
        return str(quiet), float(quiet_at), float(since), Attempts(str(tried))
    except (ValueError, TypeError):
        return "", 0.0, 0.0, Attempts("")


def _memory(quiet: str, quiet_at: float, since: float, attempts: Attempts) -> str:
    return json.dumps([quiet, quiet_at, since, attempts.memory()])
