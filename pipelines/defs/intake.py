"""Stages 1 and 2: files landed, and each batch loaded into raw, valid, warning and quarantine tables.

Assets stay thin: the loading is ``warehouse.intake``, what is shown of a batch ``pipelines.showing.batch_report``; here
are the graph and its checks.
"""

import warnings
from collections.abc import Iterator

import dagster as dg

from pipelines.failures import without_patient_values
from pipelines.showing.batch_report import (
    CHECKED,
    CONTRACT,
    LOADED,
    RECONCILIATION,
    REFUSALS,
    TABLES,
    evaluations,
    metadata_of,
    reported,
)
from pipelines.showing.column_schemas import COLUMN_SCHEMAS
from pipelines.showing.next_step import next_step
from warehouse import answer_rates, intake, intake_checks, landing, ledger, sources
from warehouse.home import Home
from warehouse.intake_checks import Looked

BATCHES = dg.DynamicPartitionsDefinition(name="batch")
# So many batches that Dagster did not see being loaded are shown at one look; more of them wait for the next.
SHOWN_AT_ONCE = 200
SEE_PARTITIONS = "This page shows one batch of the last run, which may be green beside a red one: see Partitions."


@dg.asset(
    group_name="1_landing",
    kinds={"file"},
    owners=["team:clinic-analysts"],
    description="The files of the landing folder, each copied into the archive and entered as a batch to load. Nothing "
    "in the folder is moved or changed; the same bytes again are no news; a file that changed a moment ago is left for "
    "the next look. Materialising it also shows batches that were loaded while Dagster was not watching.",
    check_specs=[
        dg.AssetCheckSpec(
            "nothing_waits",
            asset="landed_files",
            description="Warns when a file of the landing folder could not be taken in, or a batch was not loaded, for "
            "longer than an hour (waiting_minutes of the settings).",
        )
    ],
)
def landed_files(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Look at the whole folder once."""
    with without_patient_values("landing"):
        home = Home.from_environment()
        outcome = landing.take_in(home)
        waiting = sources.pending_batches(home)
        long_waiting = sources.long_waiting(home)
        context.instance.add_dynamic_partitions(str(BATCHES.name), waiting)
        shown = _show_loaded(context.instance, home)
    yield dg.MaterializeResult(
        metadata={
            "new files": outcome.new,
            "came before": outcome.known,
            "left for the next run": outcome.left,
            "never read (links, folders not named as a clinic)": outcome.passed_over,
            "batches to load": waiting,
            "batches loaded while Dagster was not watching": shown,
        }
    )
    yield _nothing_waits(outcome.long_left, long_waiting)


def _show_loaded(instance: dg.DagsterInstance, home: Home) -> int:
    """Report batches that are loaded and that Dagster has no record of: a run was killed, or storage came anew."""
    shown = instance.get_materialized_partitions(dg.AssetKey(TABLES[0]))
    missing = [batch_id for batch_id in intake_checks.loaded_batches(home) if batch_id not in shown][:SHOWN_AT_ONCE]
    if not missing:
        return 0
    instance.add_dynamic_partitions(str(BATCHES.name), missing)
    for looked in intake_checks.look_at(home, missing, read_back=missing):
        for event in reported(looked):
            instance.report_runless_asset_event(event)
    return len(missing)


LEFT_FOR_LONG = "files left for long"  # alerts read it from the check


def _nothing_waits(files: int, batches: int) -> dg.AssetCheckResult:
    said: dict[str, object] = {LEFT_FOR_LONG: files, "batches not loaded for long": batches}
    if batches:
        said |= next_step("intake", "the last run of intake says why it ended; start it over the batches that wait")
    elif files:
        said |= next_step(
            "landing",
            "a file is still being written, may not be opened, or names no clinic: put it into a folder named as its "
            "clinic, or mend its permissions, and look again",
        )
    return dg.AssetCheckResult(
        check_name="nothing_waits",
        passed=not (files or batches),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=said,
    )


def _table(name: str, description: str, *deps: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=list(deps),
        group_name="2_intake",
        kinds={"duckdb"},
        owners=["team:clinic-analysts"],
        description=description,
        metadata={"dagster/column_schema": COLUMN_SCHEMAS[name]},
        partitions_def=BATCHES,
    )


def _check_of_each_batch(name: str, description: str, *, blocking: bool = False) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Checks with partitions are a preview in Dagster; its version is pinned, and tests hold what we use of it.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=CHECKED[name],
            blocking=blocking,
            description=f"{description} {SEE_PARTITIONS}",
            partitions_def=BATCHES,
        )


OF_EACH_BATCH = (
    _check_of_each_batch(
        CONTRACT,
        "Every record is read back while its batch is loaded. One that breaks the contract is held back in the same "
        "transaction: it is never scored or published, and stands among the forms that could not be read. Batches that "
        "were loaded before are read back once more.",
        blocking=True,
    ),
    _check_of_each_batch(
        RECONCILIATION,
        "received = accepted + quarantined + duplicate + superseded, and the tables hold what was counted. A batch "
        "whose counts differ while it is loaded is refused whole, and nothing of it is kept.",
        blocking=True,
    ),
    _check_of_each_batch(
        LOADED, "Red when the whole file was refused: nothing of it was taken in, and its bytes are in the archive."
    ),
    _check_of_each_batch(
        REFUSALS, "Warns as long as a record or the whole file waits among the forms that could not be read."
    ),
)


@dg.multi_asset(
    name="load_batch",
    specs=[
        _table(
            "intake_raw",
            "Each record's original text, by batch and record number: what a clinic sent, whatever became of it.",
            "landed_files",
        ),
        _table(
            "intake_valid",
            "Records that the contract accepted, with typed answers: every version of every record. The newest version "
            "of each is what is scored.",
            "intake_raw",
        ),
        _table(
            "intake_warning",
            "What is odd in accepted records: numbers outside what is plausible, answers that contradict each other. "
            "These records go on and are reviewed.",
            "intake_raw",
        ),
        _table(
            "intake_quarantine",
            "Records that could not be read, with every reason. They are on the worklist's first line as forms that "
            "could not be read, with the tier that their readable answers may mean.",
            "intake_raw",
        ),
    ],
    check_specs=[
        *OF_EACH_BATCH,
        dg.AssetCheckSpec(
            "answer_rates",
            asset="intake_valid",
            description="Warns when a red-flag question was never answered yes in 200 records of a clinic or more: "
            "its form or mapping may have lost the box.",
        ),
    ],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def load_batch(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckEvaluation | dg.AssetCheckResult | dg.Output[None]]:
    """Load each batch in a transaction of its own: all of it or nothing, and one that fails stops no other."""
    with without_patient_values("intake"):
        home = Home.from_environment()
        batches = _loaded(context, home)
        never = answer_rates.never_stated(home)
        for looked in batches:
            for table in TABLES:
                context.add_asset_metadata(metadata_of(looked, table), table, looked.counts.batch_id)
    for table in TABLES:
        yield dg.MaterializeResult(asset_key=table)
    yield from evaluations(batches)
    for spec in OF_EACH_BATCH:
        # Dagster makes this of an AssetCheckResult, which knows one partition a step at most.
        yield dg.Output(None, spec.get_python_identifier())
    yield dg.AssetCheckResult(
        asset_key="intake_valid",
        check_name="answer_rates",
        passed=not never,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={clinic: ", ".join(columns) for clinic, columns in never.items()} or {"never answered yes": "none"},
    )


def _loaded(context: dg.AssetExecutionContext, home: Home) -> list[Looked]:
    """Load those of the run's batches that wait; gives what the tables say of all of them."""
    waiting = set(sources.pending_batches(home))
    for counts in intake.load_each(home, context.partition_keys):
        context.log.info(f"batch {counts.batch_id}: {ledger.sentence(counts)}")
    before = [batch_id for batch_id in context.partition_keys if batch_id not in waiting]
    return intake_checks.look_at(home, context.partition_keys, read_back=before)
