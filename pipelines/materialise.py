"""Start one Dagster run of the record's path from a command.

Belongs here: the run, its partitions and what its failure says. Imports dagster, so commands import it late.
"""

from pathlib import Path

import dagster as dg

from pipelines.definitions import hiptriage
from pipelines.defs.intake import BATCHES
from pipelines.defs.jobs import plain_lines
from pipelines.failures import UNEXPECTED

_FIRST, _LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class RunFailed(Exception):
    """A step of the run failed; its own sentences, without a traceback. ``unexpected``: a defect, not a refusal."""

    def __init__(self, sentence: str, *, unexpected: bool) -> None:
        super().__init__(sentence)
        self.unexpected = unexpected


def materialise(instance_folder: Path, batch_ids: list[str]) -> None:
    """Run ``record_path`` over ``batch_ids``, or ``rescore`` where there are none. Raises RunFailed."""
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        tags = {}
        if batch_ids:
            instance.add_dynamic_partitions(str(BATCHES.name), batch_ids)
            # Dagster keeps dynamic partitions in the order of adding, so a range covers every batch that still waits.
            ordered = [key for key in instance.get_dynamic_partitions(str(BATCHES.name)) if key in set(batch_ids)]
            tags = {_FIRST: ordered[0], _LAST: ordered[-1]}
        _run(instance, "record_path" if batch_ids else "rescore", {}, tags)


def train(instance_folder: Path, *, records: int | None, seed: int | None) -> str:
    """Run ``training``; gives the version of the stored model. Raises RunFailed.

    Size and seed that are None are those of the model of this release (``pipelines.defs.training``).
    """
    given = {name: value for name, value in (("records", records), ("seed", seed)) if value is not None}
    config: dict[str, object] = {"ops": {"trained_model": {"config": given}}}
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        result = _run(instance, "training", config, {})
    (event,) = result.get_asset_materialization_events()
    return str(event.materialization.metadata["model version"].value)


def _run(
    instance: dg.DagsterInstance, job: str, config: dict[str, object], tags: dict[str, str]
) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions.merge(hiptriage(), dg.Definitions(loggers={"plain": plain_lines}))
    result = definitions.resolve_job_def(job).execute_in_process(
        run_config=config | {"loggers": {"plain": {}}}, instance=instance, tags=tags, raise_on_error=False
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
