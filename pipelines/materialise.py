"""Start one Dagster run of the record's path from a command.

Belongs here: the run, its partitions and what its failure says. Imports dagster, so commands import it late.
"""

import os
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import dagster as dg

from pipelines.definitions import hiptriage
from pipelines.defs.intake import BATCHES
from pipelines.failures import UNEXPECTED
from pipelines.runs.batches_under_way import tags_of
from pipelines.runs.dead_runs import end_dead_runs, tag_of_process
from pipelines.runs.plain_lines import plain_lines
from pipelines.runs.processes import identity
from pipelines.showing.gate_told import OVERRIDE_JOB
from warehouse.publish_gate import Override


class RunFailed(Exception):
    """A step of the run failed; its own sentences, without a traceback. ``unexpected``: a defect, not a refusal."""

    def __init__(self, sentence: str, *, unexpected: bool) -> None:
        super().__init__(sentence)
        self.unexpected = unexpected


def materialise(instance_folder: Path, batch_ids: list[str]) -> None:
    """Run ``record_path`` over ``batch_ids``, or ``score_and_publish`` where there are none. Raises RunFailed."""
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        job = "record_path" if batch_ids else "score_and_publish"
        _run(instance, job, {}, _partitions(instance, batch_ids))


def let_pass(instance_folder: Path, batch_ids: list[str], override: Override) -> None:
    """Load ``batch_ids`` by ``intake``, and run ``publish_with_override`` by name and reason. Raises RunFailed."""
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        if batch_ids:
            _run(instance, "intake", {}, _partitions(instance, batch_ids))
        _run(instance, OVERRIDE_JOB, {"ops": {OVERRIDE_JOB: {"config": asdict(override)}}}, {})


def _partitions(instance: dg.DagsterInstance, batch_ids: list[str]) -> dict[str, str]:
    """Tags of a run over these batches, which become partitions where they are none yet."""
    if not batch_ids:
        return {}
    instance.add_dynamic_partitions(str(BATCHES.name), batch_ids)
    # Dagster keeps dynamic partitions in the order of adding, so a range covers every batch that still waits.
    return tags_of([key for key in instance.get_dynamic_partitions(str(BATCHES.name)) if key in set(batch_ids)])


def train(instance_folder: Path, *, records: int | None, seed: int | None, use_outcomes: bool = True) -> str:
    """Run ``train_and_evaluate``; gives the version of the stored model. Raises RunFailed.

    Size and seed that are None are those of the model of this release (``pipelines.defs.training``).
    """
    given = {name: value for name, value in (("records", records), ("seed", seed)) if value is not None}
    config: dict[str, object] = {"ops": {"trained_model": {"config": given | {"use_outcomes": use_outcomes}}}}
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        result = _run(instance, "train_and_evaluate", config, {})
    (event,) = result.get_asset_materialization_events()
    return str(event.materialization.metadata["model version"].value)


def _run(
    instance: dg.DagsterInstance, job: str, config: dict[str, object], tags: dict[str, str]
) -> dg.ExecuteInProcessResult:
    end_dead_runs(instance)
    run_id = str(uuid4())
    definitions = dg.Definitions.merge(hiptriage(), dg.Definitions(loggers={"plain": plain_lines}))
    result = definitions.resolve_job_def(job).execute_in_process(
        run_config=config | {"loggers": {"plain": {}}},
        instance=instance,
        tags=tags | tag_of_process(run_id, identity(os.getpid())),
        run_id=run_id,
        raise_on_error=False,
    )
    if not result.success:
        said = _sentences(result)
        raise RunFailed(
            "; ".join(said) or "a step failed without saying why", unexpected=not said or _unexpected(result)
        )
    return result


def _unexpected(result: dg.ExecuteInProcessResult) -> bool:
    failures = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
    return any(failure is None or UNEXPECTED in failure.metadata for failure in failures)


def _sentences(result: dg.ExecuteInProcessResult) -> list[str]:
    failures = [event.step_failure_data for event in result.get_step_failure_events()]
    said = [failure.user_failure_data.description for failure in failures if failure.user_failure_data]
    checks = [
        f"check {check.check_name} of {check.asset_key.to_user_string()} failed"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    return [sentence for sentence in said if sentence] + checks
