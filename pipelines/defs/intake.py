"""Stages 1 and 2: files landed, and each batch loaded into raw, valid, warning and quarantine tables.

Assets stay thin: the loading is ``warehouse.intake``; here are the graph, the counts as metadata, and the checks.
"""

from collections.abc import Iterator

import dagster as dg

from pipelines.failures import without_patient_values
from warehouse import answer_rates, intake, intake_checks, landing, ledger, sources
from warehouse.home import Home

BATCHES = dg.DynamicPartitionsDefinition(name="batch")


@dg.asset(group_name="1_landing", kinds={"file"}, owners=["team:clinic-analysts"])
def landed_files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Files in the landing folder, copied into the archive and entered as batches to load."""
    with without_patient_values("landing"):
        home = Home.from_environment()
        outcome = landing.take_in(home)
        waiting = sources.pending_batches(home)
        context.instance.add_dynamic_partitions(str(BATCHES.name), waiting)
    return dg.MaterializeResult(
        metadata={
            "new files": outcome.new,
            "came before": outcome.known,
            "left for the next run": outcome.left,
            "never read (links, folders not named as a clinic)": outcome.passed_over,
            "batches to load": waiting,
        }
    )


def _table(name: str, description: str, *deps: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=list(deps),
        group_name="2_intake",
        kinds={"duckdb"},
        owners=["team:clinic-analysts"],
        description=description,
        partitions_def=BATCHES,
    )


@dg.multi_asset(
    name="load_batch",
    specs=[
        _table("intake_raw", "Each record's original text, by file and record number.", "landed_files"),
        _table("intake_valid", "Records that the contract accepted, with typed answers.", "intake_raw"),
        _table("intake_warning", "What is odd in accepted records: implausible or contradicting.", "intake_raw"),
        _table("intake_quarantine", "Records that could not be read, with every reason.", "intake_raw"),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "contract",
            asset="intake_valid",
            blocking=True,
            description="Every stored record of these batches keeps the contract, read back from the warehouse.",
        ),
        dg.AssetCheckSpec(
            "answer_rates",
            asset="intake_valid",
            description="Warns when a red-flag question was never answered yes in 200 records of a clinic or more: "
            "its form or mapping may have lost the box.",
        ),
        dg.AssetCheckSpec(
            "reconciliation",
            asset="intake_raw",
            blocking=True,
            description="received = accepted + quarantined + duplicate + superseded, for each batch.",
        ),
        dg.AssetCheckSpec(
            "refusals",
            asset="intake_quarantine",
            description="Warns when a record or a whole file was refused; the forms are listed first on the worklist.",
        ),
    ],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def load_batch(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Load each batch in one transaction: all of it or nothing."""
    with without_patient_values("intake"):
        home = Home.from_environment()
        loaded = []
        for batch_id in context.partition_keys:
            counts = intake.load(home, batch_id)
            loaded.append(counts)
            context.log.info(f"batch {batch_id}: {ledger.sentence(counts)}")
            for table in ("intake_raw", "intake_valid", "intake_warning", "intake_quarantine"):
                context.add_asset_metadata(
                    metadata=counts.counts | ({"refused": counts.refusal} if counts.refusal else {}),
                    asset_key=table,
                    partition_key=batch_id,
                )
        broken = intake_checks.contract_failures(home, context.partition_keys)
        refused_codes = intake_checks.problem_counts(home, context.partition_keys)
        never = answer_rates.never_stated(home)
    for table in ("intake_raw", "intake_valid", "intake_warning", "intake_quarantine"):
        yield dg.MaterializeResult(asset_key=table)
    yield dg.AssetCheckResult(
        asset_key="intake_valid",
        check_name="contract",
        passed=broken == 0,
        metadata={"records that break the contract": broken},
    )
    yield dg.AssetCheckResult(
        asset_key="intake_valid",
        check_name="answer_rates",
        passed=not never,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={clinic: ", ".join(columns) for clinic, columns in never.items()} or {"never answered yes": "none"},
    )
    unbalanced = [counts.batch_id for counts in loaded if not counts.balanced]
    yield dg.AssetCheckResult(
        asset_key="intake_raw",
        check_name="reconciliation",
        passed=not unbalanced,
        metadata={"batches that do not add up": unbalanced, "received": sum(c.received for c in loaded)},
    )
    yield dg.AssetCheckResult(
        asset_key="intake_quarantine",
        check_name="refusals",
        passed=not refused_codes,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=refused_codes or {"refused": 0},
    )
