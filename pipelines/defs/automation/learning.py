"""Training by the clock and on enough new outcomes. What is trained is stored and never put in force by itself."""

from datetime import UTC, datetime

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import automation_settings, cron
from warehouse.home import Home
from warehouse.lock import WarehouseBusy, holding
from warehouse.outcomes_for_training import new_since

LOOK_SECONDS = 900

retrain = dg.ScheduleDefinition(
    name="retrain",
    job_name="train_and_evaluate",
    cron_schedule=cron("retrain_cron"),
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Trains a model by the clock. Off until somebody wants it: without new outcomes or new figures it "
    "would give the same model again, and enough_outcomes trains when there are new ones.",
)


@dg.sensor(
    job_name="train_and_evaluate",
    minimum_interval_seconds=LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the job train_and_evaluate when enough outcomes were confirmed since the last training "
    "(retrain_outcomes of the settings; 0 turns it off); at most once a day, and not again while no further outcome "
    "came in. Putting the model in force is the job promote.",
)
def enough_outcomes(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Count once; the cursor holds the day and the count of the last training that was asked for."""
    wanted = automation_settings().retrain_outcomes
    if not wanted:
        return dg.SkipReason("retrain_outcomes of the settings is 0: no number of outcomes asks for a training")
    with without_patient_values("enough outcomes"):
        home = Home.from_environment()
        try:
            with holding(home, "count new outcomes", wait=0):
                found = new_since(home)
        except WarehouseBusy as busy:
            return dg.SkipReason(f"{busy}: looked at again")
    if found < wanted:
        return dg.SkipReason(f"fewer than {wanted} outcomes were confirmed since the last training")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    day, _, count = (context.cursor or "").partition(" ")
    # Outcomes that confirm a condition in a way that may not teach stay new for ever.
    if day == today or count == str(found):
        return dg.SkipReason("a training was asked for today, or no outcome came in since the last one")
    context.update_cursor(f"{today} {found}")
    return dg.RunRequest(f"outcomes-{today}")
