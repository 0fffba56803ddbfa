"""Learning from outcomes that landed: which are read, what a training makes of them, and what its manifest says.

Real warehouse, catalogue and learning. The fitting of a classifier is left out: it takes minutes and does not depend on
where its records' figures come from (``tests/test_model.py`` has it).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from models import naive_bayes, training
from models.basis import load_basis
from models.catalogue import Catalogue, load_catalogue
from models.cohort import Cohort, generate
from models.features import feature_matrix
from models.gates import FAILED, PASSED, Judgement, gate_limits, log_loss_gate, subgroup_gates
from models.learning_curve import differing_clinic
from models.model_file import default_locked_folder, load_model, read_manifest, version_of
from models.outcome_blend import pool
from models.outcome_learning import learn
from models.outcome_training import Outcomes, Taught, moved_by, taught_by
from models.training import TRAINING_DATA, TrainedModel
from pipelines import console
from pipelines.defs import training as defs_training
from pipelines.published_about import about
from pipelines.training import train_in
from schemas.outcomes import outcome_schema
from schemas.records import record_schema
from tests.evaluated import evaluation
from tests.published_home import at, take_in
from warehouse import intake, sources
from warehouse.home import Home
from warehouse.outcomes_for_training import landed, learnt_until, new_since
from warehouse.store import opened

CONFIRMED = {"attended": "yes", "confirmed_condition": "labral_tear", "found_by": "imaging"}


def outcome(record: str, submitted: float = 0, recorded: float = 20, **said: Any) -> dict[str, Any]:
    times = {"submitted_at": at(submitted), "recorded_at": at(recorded).isoformat()}
    return {"record_id": record, **times, **CONFIRMED, **said}


def land(home: Home, rows: Sequence[Mapping[str, Any]], folder: Path, kind: str = "sample") -> None:
    """As ``take_in``, for a file of another kind of data."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [",".join(str(row.get(column, "")) for column in columns) for row in rows]
    file = folder / f"{kind}.csv"
    file.write_text("\n".join([",".join(columns), *lines]) + "\n", "utf-8")
    batch, _ = sources.register(home, file, clinic="south", data_kind=kind)  # type: ignore[arg-type]
    assert intake.load(home, batch.batch_id).refusal is None


@pytest.fixture
def followed(home: Home, tmp_path: Path) -> Home:
    """Records a (two versions), b, c and, published, p; outcomes of each, and one of a record that never came."""
    rows = [{"record_id": name, "submitted_at": at(0), "pain_now": 3} for name in "abc"]
    take_in(home, "north", [*rows, {"record_id": "a", "submitted_at": at(5), "pain_now": 7}], tmp_path)
    land(home, [{"record_id": "p", "submitted_at": at(0).isoformat(), "pain_now": 3}], tmp_path, "published_case")
    take_in(home, "south", [outcome("p")], tmp_path)
    first = [outcome("a"), outcome("b", confirmed_condition="", found_by="not_confirmed"), outcome("never")]
    take_in(home, "north", first, tmp_path)
    return home


def test_it_reads_outcomes_and_the_versions_they_name(followed: Home, tmp_path: Path) -> None:
    found = landed(followed)
    assert found.outcomes.schema == outcome_schema() and found.records.schema == record_schema()
    assert found.outcomes["record_id"].to_pylist() == ["a", "b"]
    assert [(row["record_id"], row["pain_now"]) for row in found.records.to_pylist()] == [("a", 3), ("b", 3)]
    assert found.data_kinds == ("sample",)  # published cases never teach
    assert found.received_until is not None
    take_in(followed, "north", [outcome("a", submitted=5, recorded=30)], tmp_path)
    both = landed(followed)
    assert both.outcomes["record_id"].to_pylist() == ["a", "b", "a"] and both.records.num_rows == 3


def test_a_restricted_record_teaches_nobody(followed: Home) -> None:
    with opened(followed, "test") as connection:
        connection.execute("INSERT INTO withdrawn_record VALUES ('north', 'a', 'restrict', now())")
    found = landed(followed)
    assert found.records["record_id"].to_pylist() == found.outcomes["record_id"].to_pylist() == ["b"]
    assert new_since(followed) == 0


def test_new_outcomes_are_those_since_the_last_training(followed: Home, tmp_path: Path) -> None:
    assert new_since(followed) == 1  # b is not confirmed, p is published, never has no form
    until = landed(followed).received_until
    assert until is not None
    learnt = {"outcomes": {"received_until": until.isoformat()}}
    assert learnt_until(learnt) == until and learnt_until({}) is None
    assert (new_since(followed, {}), new_since(followed, learnt)) == (1, 0)
    for name, said in (("0ld", {}), ("1ew", learnt)):
        (followed.models / name).mkdir()
        (followed.models / name / "manifest.json").write_text(json.dumps(said))
    (followed.models / "bad").mkdir()
    (followed.models / "bad" / "manifest.json").write_text("{")
    assert new_since(followed) == 0
    take_in(followed, "north", [outcome("c"), outcome("a", recorded=40, confirmed_condition="hernia")], tmp_path)
    assert (new_since(followed), new_since(followed, {})) == (2, 2)  # one more, and a correction
    withdrawn = outcome("c", recorded=50, confirmed_condition="", found_by="not_confirmed")
    take_in(followed, "north", [withdrawn], tmp_path)
    assert new_since(followed) == 1


def test_a_home_without_a_warehouse_has_none(home: Home) -> None:
    assert new_since(home) == 0
    assert not home.warehouse.exists()


# what a training makes of them


@pytest.fixture(scope="module")
def literature() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def clinic(literature: Catalogue) -> Cohort:
    """Records of people in a clinic that is not as the literature says."""
    return generate(differing_clinic(literature, 5, 2.0), 120, 5)


def outcomes_of(clinic: Cohort, **said: Any) -> Outcomes:
    keys = clinic.records.select("record_id", "clinic_id", "submitted_at")
    frame = keys.with_columns(
        pl.col("submitted_at").dt.offset_by("20d").alias("recorded_at"),
        pl.Series("confirmed_condition", clinic.condition.astype(str)),
        **{name: pl.lit(value) for name, value in ({"attended": True, "found_by": "imaging"} | said).items()},
    )
    missing = [pl.lit(None, pl.String).alias(name) for name in outcome_schema().names if name not in frame.columns]
    return Outcomes(
        frame.with_columns(missing).select(outcome_schema().names),
        clinic.records,
        datetime(2026, 11, 1, 8, tzinfo=UTC),
        ("live",),
    )


@pytest.fixture(scope="module")
def taught(literature: Catalogue, clinic: Cohort) -> Taught:
    found = taught_by(literature, outcomes_of(clinic))
    assert found is not None
    return found


def test_what_the_manifest_says_of_outcomes(taught: Taught, clinic: Cohort, literature: Catalogue) -> None:
    said = taught.manifest
    assert said["confirmed"] == 120 and said["weight"] > 0
    assert said["cross_fitted"]["with_outcomes"] < said["cross_fitted"]["literature"]
    assert learnt_until({"outcomes": said}) == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert moved_by({"outcomes": said}) == 120
    assert taught.evidence_basis == "literature+outcomes(120)"
    assert "120 confirmed outcomes of this installation's patients" in taught.statement
    assert not any(record in json.dumps(said) for record in clinic.records["record_id"])
    assert taught.catalogue.version != literature.version
    assert list(taught.catalogue.conditions) == list(literature.conditions)


def test_the_digest_is_of_the_outcomes_and_not_of_their_order(taught: Taught, clinic: Cohort) -> None:
    from models.outcome_training import _digest

    labels = pl.DataFrame({"confirmed_condition": clinic.condition.astype(str), "weight": np.full(120, 0.75)})
    assert _digest(clinic.records, labels) == taught.manifest["digest"]
    assert _digest(clinic.records.reverse(), labels.reverse()) == taught.manifest["digest"]
    assert _digest(clinic.records, labels.with_columns(weight=pl.lit(0.5))) != taught.manifest["digest"]


def test_outcomes_that_may_not_teach_change_nothing(literature: Catalogue, clinic: Cohort) -> None:
    nothing = outcomes_of(clinic, found_by="not_confirmed")
    assert taught_by(literature, nothing) is None
    assert training._told_of(None) == {"training_data": TRAINING_DATA, "evidence_basis": "literature"}
    locked = read_manifest(default_locked_folder())
    assert {name: locked[name] for name in training._told_of(None)} == training._told_of(None)
    assert "outcomes" not in locked and moved_by(locked) == 0


def test_invented_people_are_called_so_and_weightless_outcomes_too(taught: Taught) -> None:
    assert "invented people" in replace(taught, manifest=taught.manifest | {"data_kinds": ["sample"]}).statement
    unheard = replace(taught, manifest=taught.manifest | {"weight": 0.0})
    assert unheard.evidence_basis == "literature" and "given no weight" in unheard.statement
    assert moved_by({"outcomes": unheard.manifest}) == 0


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_part_of_the_way_is_the_pool_of_both_ends(literature: Catalogue, clinic: Cohort, part: float) -> None:
    labels, ones = clinic.condition.astype(str).tolist(), np.ones(120)
    moved = learn(literature, clinic.records, labels, ones, part=part)
    matrix = feature_matrix(clinic.records)
    ends = [naive_bayes.posterior(one, matrix) for one in (literature, learn(literature, clinic.records, labels, ones))]
    found, expected = naive_bayes.posterior(moved, matrix), pool(ends[0], ends[1], part)
    apart = np.abs(ends[0] - ends[1]).mean()
    assert np.abs(found - expected).mean() < (0.1 * apart if part == 0.5 else 1e-9)


class Drawn(Exception):
    """Ends a training where it draws its first records."""


def test_a_training_draws_its_records_from_what_outcomes_taught(
    monkeypatch: pytest.MonkeyPatch, literature: Catalogue, taught: Taught
) -> None:
    drawn: list[Catalogue] = []

    def draw(catalogue: Catalogue, *_: Any, **__: Any) -> None:
        drawn.append(catalogue)
        raise Drawn

    monkeypatch.setattr(training, "draw_sample", draw)
    for given in (None, taught):
        with pytest.raises(Drawn):
            training.train(literature, n=1350, seed=5, taught=given)
    assert drawn[0] is literature and drawn[1] is taught.catalogue


@pytest.mark.slow
def test_from_landed_files_to_what_a_snapshot_says(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clinic: Cohort, taught: Taught
) -> None:
    """The locked classifier stands for the fitted one; what landed, the manifest and the words are real."""
    answers = [column for column in ("pain_now", "age_years", "weekly_km") if column in clinic.records.columns]
    forms = clinic.records.select("record_id", *answers).with_columns(submitted_at=pl.lit(at(0))).to_dicts()
    take_in(home, "north", [{k: v for k, v in row.items() if v is not None} for row in forms], tmp_path)
    confirmed = zip(clinic.records["record_id"], clinic.condition.astype(str).tolist(), strict=True)
    rows = [outcome(record, confirmed_condition=condition) for record, condition in confirmed]
    take_in(home, "north", rows, tmp_path)
    given: list[Outcomes] = []

    def already(_: Catalogue, outcomes: Outcomes) -> Taught:
        given.append(outcomes)
        return replace(taught, manifest=taught.manifest | {"received_until": outcomes.received_until.isoformat()})

    monkeypatch.setattr(training, "taught_by", already)
    monkeypatch.setattr(training, "train", _as_locked)
    monkeypatch.setattr("models.judging.judge", lambda *_, **__: evaluation())
    trained = train_in(home, records=2_700, seed=5, use_outcomes=True)
    assert given[0].records.height == given[0].outcomes.height == 120
    assert new_since(home) == 0 and given[0].data_kinds == ("sample",)
    basis = load_basis(trained.folder)
    assert basis.model is not None and not basis.model.figures_changed
    assert about(basis).evidence_basis == basis.evidence_basis == "literature+outcomes(120)"
    assert "120 confirmed outcomes" in about(basis).training
    assert "Confirmed outcomes: 120" in (trained.folder / "card.md").read_text("utf-8")
    without = train_in(home, records=2_700, seed=5, use_outcomes=False)
    assert without.version != trained.version and load_basis(without.folder).evidence_basis == "literature"


def _as_locked(literature: Catalogue, *, n: int, seed: int, taught: Taught | None = None) -> TrainedModel:
    locked = load_model(default_locked_folder(), literature)
    kept = ("conformal_thresholds", "usual_answers", "fixture", "catalogue_version", "data_digest")
    facts = {name: locked.manifest[name] for name in kept} | {"n": n, "seed": seed} | training._told_of(taught)
    return TrainedModel(locked.estimator, locked.classes, facts, None, ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        ("literature", console.LITERATURE),
        (
            "literature+outcomes(57)",
            "weights from published figures and outcomes (57), not tested on this clinic's patients",
        ),
    ],
)
def test_learning_from_a_clinic_is_no_test_on_its_patients(basis: str, words: str) -> None:
    assert console.tested(basis) == words


# the gates


GATED = Judgement(records=20_000, log_loss=1.0, subgroups={("sex", "female"): (9_000, 1.0)}, calibration_slope=1.0,
                  slope_records=5_000)  # fmt: skip


@pytest.mark.parametrize(
    ("before", "outcomes", "worse", "state"),
    [
        (0, 0, 0.15, FAILED),
        (0, 199, 0.15, FAILED),
        (0, 200, 0.15, PASSED),
        (0, 200, 0.21, FAILED),
        (300, 200, 0.15, FAILED),
        (200, 300, 0.15, PASSED),
    ],
)
def test_a_model_that_enough_outcomes_taught_may_depart_from_the_literature(
    before: int, outcomes: int, worse: float, state: str
) -> None:
    limits = gate_limits()
    in_force = replace(GATED, outcomes=before)
    groups = {("sex", "female"): (9_000, 1.0 + worse)}
    candidate = replace(GATED, outcomes=outcomes, log_loss=1.0 + worse, subgroups=groups)
    assert log_loss_gate(in_force, candidate, limits).state == state
    (group,) = subgroup_gates(in_force, candidate, limits)
    assert group.state == (PASSED if state == PASSED or (outcomes > before and outcomes >= 200) else FAILED)


@pytest.mark.slow
def test_the_check_shows_every_gate_and_what_to_do_next(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a training, of the model in force, and of one whose calibration misses the bar."""
    limits = gate_limits()
    fewer = limits.comparison.model_copy(update={"records": 600})
    few = limits.sentinels.model_copy(update={"records": 100})
    quicker = limits.model_copy(update={"comparison": fewer, "sentinels": few})
    monkeypatch.setattr("pipelines.changes.proposal.gate_limits", lambda: quicker)
    monkeypatch.setenv("HIPTRIAGE_HOME", str(home.root))
    home.ensure()
    locked = read_manifest(default_locked_folder())
    bad = {"evaluation": locked["evaluation"] | {"model": locked["evaluation"]["model"] | {"calibration_slope": 0.8}}}
    manifest = locked | bad
    manifest |= {"model_version": version_of(load_model(default_locked_folder()).estimator, manifest)}
    folder = Path(shutil.copytree(default_locked_folder(), home.models / manifest["model_version"]))
    (folder / "manifest.json").write_text(json.dumps(manifest))

    job = dg.define_asset_job("gates", selection=dg.AssetSelection.checks(defs_training.evaluation_gates))
    definitions = dg.Definitions(
        [defs_training.trained_model], asset_checks=[defs_training.evaluation_gates], jobs=[job]
    )
    found = []
    with dg.DagsterInstance.ephemeral() as instance:
        for version in (None, locked["model_version"], manifest["model_version"]):
            if version:
                made = dg.AssetMaterialization("trained_model", metadata={defs_training.VERSION: version})
                instance.report_runless_asset_event(made)
            result = definitions.resolve_job_def("gates").execute_in_process(instance=instance)
            (said,) = result.get_asset_check_evaluations()
            found.append((said.passed, {name: str(value.value) for name, value in said.metadata.items()}))
            assert (
                said.severity == dg.AssetCheckSeverity.WARN
            )  # a model that may not be promoted is stored all the same
    (none, of_none), (own, of_own), (other, of_other) = found
    assert (none, own, other) == (False, True, False)
    assert of_none["found"] == "no model was trained here" and of_own["found"] == "in force already"
    assert "calibration slope" in of_other["found"] and "| failed | calibration slope | 0.800" in of_other["gates"]
    assert of_other["job"].endswith("/jobs/train_and_evaluate/playground") and of_other["next step"]
