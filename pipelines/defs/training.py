"""Stage 5: a new model version from the catalogue and the outcomes that came back. It is stored beside the others and
never put in force by itself; the check on it says what the gates of a promotion would say now.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from models.gates import Gate
from models.model_file import CARD, EVALUATION, REPORT
from pipelines.failures import without_patient_values
from pipelines.showing.next_step import next_step
from pipelines.training import RELEASE_RECORDS, RELEASE_SEED, Trained, train_in
from warehouse.home import Home

VERSION = "model version"  # the metadata that the check, and whoever started the run, go by
_FIGURES = {
    "log_loss": "log loss (nats)",
    "top1": "named first",
    "top3": "among the first three",
    "calibration_slope": "slope",
}


class Training(dg.Config):
    """How large a generated cohort to learn from, the seed that makes it repeatable, and whether outcomes count."""

    records: int = Field(default=RELEASE_RECORDS, ge=2_700, le=2_000_000, description="generated records to learn from")
    seed: int = Field(default=RELEASE_SEED, ge=0, description="the same seed gives the same model")
    use_outcomes: bool = Field(
        default=True,
        description="let confirmed outcomes that landed here move the literature's figures; without any, or without "
        "this, the model is that of the literature",
    )


@dg.asset(
    group_name="5_training",
    kinds={"scikitlearn"},
    owners=["team:clinic-analysts"],
    description="A classifier trained on records generated from the catalogue's figures, which confirmed outcomes have "
    "moved where any landed; calibrated, evaluated, stored with its card. It is not put in force: that is the job "
    "promote.",
)
def trained_model(context: dg.AssetExecutionContext, config: Training) -> dg.MaterializeResult:
    """One training."""
    with without_patient_values("training"):
        context.log.info(f"training on {config.records} generated records; this takes minutes")
        home = Home.from_environment()
        trained = train_in(home, records=config.records, seed=config.seed, use_outcomes=config.use_outcomes)
        context.log.info(f"model {trained.version} stored; hiptriage model show {trained.version}")
        return dg.MaterializeResult(metadata=_told(trained))


def _told(trained: Trained) -> dict[str, Any]:
    from pipelines.showing import plots  # matplotlib takes a while to import

    manifest = trained.manifest
    evaluation = json.loads((trained.folder / EVALUATION).read_text("utf-8"))
    drawn = {name: dg.MetadataValue.md(text) for name, text in plots.of_model(evaluation).items()}
    outcomes = manifest.get("outcomes", {})
    return {
        VERSION: trained.version,
        "trained on": manifest["training_data"],
        "evidence basis": manifest["evidence_basis"],
        "confirmed outcomes": int(outcomes.get("confirmed", 0)),
        "weight of the outcomes": float(outcomes.get("weight", 0)),
        "log loss on generated records": dg.MetadataValue.float(manifest["evaluation"]["model"]["log_loss"]),
        "evaluation": dg.MetadataValue.md(_evaluation(evaluation)),
        "card": dg.MetadataValue.md((trained.folder / CARD).read_text("utf-8")),
        "report": dg.MetadataValue.path(str(trained.folder / REPORT)),
        **drawn,
    }


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    """The model beside its baselines, each figure with its 95 % interval."""
    rows = [[name, *(_figure(own[key]) for key in _FIGURES)] for name, own in evaluation["scores"].items()]
    about = f"On {evaluation['n']:,} {evaluation['tested_on']}; 95 % intervals. No patient's record was looked at."
    return f"{about}\n\n{_table(['', *_FIGURES.values()], rows)}"


def _figure(said: Mapping[str, Any]) -> str:
    return f"{said['value']:.3f} ({said['low']:.3f} to {said['high']:.3f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


@dg.asset_check(
    asset=trained_model,
    name="evaluation_gates",
    description="What the gates of a promotion say of the last trained version beside the model in force. Nothing is "
    "put in force or stopped by it; limits not yet signed by a clinician.",
)
def evaluation_gates(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Judge the last trained version."""
    from pipelines.changes.proposal import ChangeRefused, gates_of

    version = _last_trained(context.instance)
    if version is None:
        return _result(False, "no model was trained here", "train_and_evaluate", "Train one with the job.")
    with without_patient_values("evaluation gates"):
        try:
            gates = gates_of(Home.from_environment(), version)
        except ChangeRefused as refused:
            return _result(False, str(refused), "train_and_evaluate", "Train again with the program as it is now.")
    if gates is None:
        return _result(True, "in force already", "train_and_evaluate", "Nothing to do.", version)
    failed = [gate.name for gate in gates if not gate.lets_pass]
    if failed:
        found = f"{len(failed)} of {len(gates)} gates do not let it pass: {'; '.join(failed)}"
        step = "It cannot be promoted. Train with more records, or look at its card and at what the outcomes say."
        return _result(False, found, "train_and_evaluate", step, version, gates)
    step = "Look at its tier changes: start it in shadow, or launch promote without confirm; both change nothing."
    return _result(True, "every gate lets it pass; that is not proof of safety", "promote", step, version, gates)


def _last_trained(instance: dg.DagsterInstance) -> str | None:
    event = instance.get_latest_materialization_event(dg.AssetKey("trained_model"))
    made = event.asset_materialization if event else None
    return str(made.metadata[VERSION].value) if made and VERSION in made.metadata else None


def _result(
    passed: bool, found: str, job: str, step: str, version: str | None = None, gates: Sequence[Gate] = ()
) -> dg.AssetCheckResult:
    rows = [[gate.state, gate.name, gate.found, gate.limit] for gate in gates]
    shown = {"gates": dg.MetadataValue.md(_table(["verdict", "gate", "found", "limit"], rows))} if rows else {}
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"found": found, **({VERSION: version} if version else {}), **shown, **next_step(job, step)},
    )
