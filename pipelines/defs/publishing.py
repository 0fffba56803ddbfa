"""Stage 4: the published snapshot that clinicians read."""

from collections.abc import Iterator

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.runs.following import FOLLOWS
from pipelines.showing import gate_told, stage_metadata
from pipelines.showing.referral_columns import SNAPSHOT_SCHEMA
from pipelines.stages import publish_snapshot
from warehouse.home import Home
from warehouse.publish_gate import PublicationHeld


@dg.asset(
    group_name="4_publication",
    kinds={"duckdb", "parquet"},
    owners=["team:clinic-analysts"],
    deps=["referral_score", "unread_forms"],
    automation_condition=FOLLOWS,
    metadata=SNAPSHOT_SCHEMA,
    check_specs=[gate_told.SPEC],
)
def snapshot(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """An immutable folder of referral tables, one file a clinic, that readers open without ever meeting a writer."""
    with without_patient_values("publication"):
        try:
            published = publish_snapshot(Home.from_environment(), context.log.info)
        except PublicationHeld as held:
            yield gate_told.told(held.findings)
            raise
        yield dg.MaterializeResult(metadata=stage_metadata.snapshot(published))
        yield gate_told.told(published.gate)
        # The table is published, with the earlier tiers; the run fails so that nobody can overlook it.
        gate_told.fail_where_held(published.gate)
