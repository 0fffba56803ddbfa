"""The sensor that looks for what deserves an alert; it starts no run and opens nothing that others wait for."""

from datetime import UTC, datetime

import dagster as dg

from pipelines.alerting.composing import Failed
from pipelines.alerting.failed_runs import failed_between
from pipelines.alerting.round import look_and_send
from pipelines.alerting.told import NO_CHANNEL, State
from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import automation_settings
from warehouse.home import Home


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=automation_settings().alert_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the configured command, webhook or mail address, with counts only: new emergency rows, "
    "emergency rows that nobody acknowledged, forms that could not be read, a stale or damaged snapshot, failed runs, "
    "a publication held back, files that wait. Says the same again after alerts.repeat_minutes while it holds.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One look; the cursor holds what each channel was told: snapshot, times and counts."""

    def between(since: datetime, until: datetime) -> Failed:
        return failed_between(context.instance, since, until)

    with without_patient_values("alerts"):
        home = Home.from_environment()
        if not home.settings().alerts.channels:
            return dg.SensorResult(skip_reason=NO_CHANNEL)
        done = look_and_send(home, between, State.read(context.cursor), datetime.now(UTC))
    said = [f"{channel}: {count} alerts sent" for channel, count in done.sent.items()]
    failed = [f"{channel}: NOT DELIVERED, {why}; to be tried again" for channel, why in done.failures.items()]
    for sentence in said:
        context.log.info(sentence)
    for sentence in failed:
        context.log.warning(sentence)
    return dg.SensorResult(
        skip_reason="; ".join([*failed, *said]) or "nothing new to tell", cursor=done.state.model_dump_json()
    )
