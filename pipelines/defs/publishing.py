"""Stage 4: the published snapshot that clinicians read."""

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.stages import publish_snapshot
from warehouse.home import Home


@dg.asset(
    group_name="4_publication",
    kinds={"duckdb", "parquet"},
    owners=["team:clinic-analysts"],
    deps=["referral_score", "unread_forms"],
)
def snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """An immutable folder of referral tables, one file a clinic, that readers open without ever meeting a writer."""
    with without_patient_values("publication"):
        published = publish_snapshot(Home.from_environment(), context.log.info)
    return dg.MaterializeResult(
        metadata={
            "snapshot": published.snapshot_id,
            "clinics": published.clinics,
            "unchanged clinics, linked": published.linked,
            "dagster/row_count": published.referrals,
            "forms that could not be read": published.unread,
            "of them with an emergency answer": published.unread_emergency,
        }
    )
