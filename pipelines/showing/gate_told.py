"""What the publish gate found, as a check of the asset ``snapshot``: the same whether an asset or a job published.

Belongs here: findings put into metadata, with the job that helps. Does not belong here: the findings
(``warehouse.publish_gate``, ``warehouse.tier_gate``).
"""

from collections.abc import Sequence

import dagster as dg

from pipelines.showing.next_step import next_step
from warehouse.publish_gate import Finding

CHECK = "publish_gate"
OVERRIDE_JOB = "publish_with_override"
SPEC = dg.AssetCheckSpec(
    CHECK,
    asset="snapshot",
    blocking=True,
    description="Only listed columns, every record with one row and a score, every emergency rule evaluated, and no "
    "tier lowered further than the limits allow without somebody's name.",
)


def told(findings: Sequence[Finding]) -> dg.AssetCheckResult:
    """The check of a publication: red where anything is held."""
    held = [finding for finding in findings if finding.state == "held"]
    metadata: dict[str, dg.MetadataValue] = {
        finding.name: dg.MetadataValue.text(f"{finding.state}: {finding.found}; limit: {finding.limit}")
        for finding in findings
    }
    if held:
        metadata |= next_step(OVERRIDE_JOB, held[0].next_step)
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key="snapshot",
        passed=not held,
        severity=dg.AssetCheckSeverity.ERROR,
        description=held_sentence(findings) or "nothing is held",
        metadata=metadata,
    )


def evaluation(findings: Sequence[Finding]) -> dg.AssetCheckEvaluation:
    """The same for a job that publishes without the asset."""
    result = told(findings)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("snapshot"),
        check_name=CHECK,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        blocking=True,
    )


def held_sentence(findings: Sequence[Finding]) -> str:
    """What is held and what to do next, in one sentence; '' where nothing is."""
    held = [finding for finding in findings if finding.state == "held"]
    return "; ".join(f"{finding.name}: {finding.found}; next: {finding.next_step}" for finding in held)


def fail_where_held(findings: Sequence[Finding]) -> None:
    """Raise ``dagster.Failure`` with what is held, where anything is."""
    if sentence := held_sentence(findings):
        raise dg.Failure(f"the publish gate is red: {sentence}", allow_retries=False)
