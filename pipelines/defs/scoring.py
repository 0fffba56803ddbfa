"""Stage 3: what refused forms may still say, and a referral score for every record that lacks one."""

from collections.abc import Iterator

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.model_in_force import basis_in_force, settle
from pipelines.runs.following import FOLLOWS
from pipelines.showing import stage_metadata
from pipelines.showing.referral_columns import SCORE_SCHEMA, UNREAD_SCHEMA
from pipelines.stages import look_at_refused, score
from warehouse.home import Home


@dg.asset(
    group_name="3_scoring",
    kinds={"duckdb"},
    owners=["team:clinic-analysts"],
    deps=["intake_quarantine"],
    automation_condition=FOLLOWS,
    metadata=UNREAD_SCHEMA,
)
def unread_forms(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Refused records with the tier that their readable cells may mean, so that nobody is lost in quarantine."""
    with without_patient_values("unread forms"):
        done = look_at_refused(Home.from_environment(), context.log.info)
    return dg.MaterializeResult(metadata=stage_metadata.forms_looked_at(done))


@dg.asset(
    group_name="3_scoring",
    kinds={"scikitlearn"},
    owners=["team:clinic-analysts"],
    deps=["trained_model"],
    check_specs=[
        dg.AssetCheckSpec(
            "usable",
            asset="model_in_force",
            description="Warns when the model is refused: referrals then come from rules and floors alone.",
        )
    ],
)
def model_in_force() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The model that scores: the one this home has put in force, else the one that came with the release."""
    with without_patient_values("model"):
        home = Home.from_environment()
        settle(home)
        basis = basis_in_force(home)
    yield dg.MaterializeResult(metadata=stage_metadata.model(basis))
    yield dg.AssetCheckResult(
        check_name="usable",
        passed=basis.model is not None,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"banner": basis.banner or "none"},
    )


@dg.asset(
    group_name="3_scoring",
    kinds={"duckdb", "scikitlearn"},
    owners=["team:clinic-analysts"],
    deps=["intake_valid", "model_in_force"],
    automation_condition=FOLLOWS,
    metadata=SCORE_SCHEMA,
)
def referral_score(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """One score for each record version and each set of versions of model, catalogue, rules and contract."""
    with without_patient_values("scoring"):
        done = score(Home.from_environment(), context.log.info)
        if done.basis.banner:
            context.log.warning(done.basis.banner)
    return dg.MaterializeResult(metadata=stage_metadata.scores(done))
