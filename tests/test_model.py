"""Training, the stored model and its refusals, the differential and what follows from cost ratios."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from models import evaluation, figures, naive_bayes
from models.candidates import BLEND, BOOSTING, LOGISTIC, NAIVE_BAYES, POSTERIOR
from models.catalogue import Catalogue, load_catalogue
from models.cohort import Cohort, generate
from models.contributing import contributing_factors
from models.decision_costs import check_costs, decision_costs
from models.differential import prediction_sets, probabilities, readings, too_thin, unlike_training
from models.features import feature_matrix, feature_names
from models.model_file import (
    LockedModel,
    ModelRefused,
    default_locked_folder,
    figures_digest,
    load_model,
    save_model,
    version_of,
)
from models.posterior import CataloguePosterior
from models.red_flags import without_red_flags
from models.training import TrainedModel
from models.worlds import worlds
from tests.small_model import SMALL_N, SMALL_SEED, small_evaluation, small_model


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def locked() -> LockedModel:
    return load_model(default_locked_folder())


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_locked_folder(), tmp_path / "model"))


@pytest.fixture(scope="module")
def saved(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(small_model(), folder, catalogue, small_evaluation())
    return folder


def test_a_stored_model_comes_back_as_it_was(catalogue: Catalogue, saved: Path) -> None:
    loaded = load_model(saved, catalogue)
    matrix = feature_matrix(generate(catalogue, 50, 1).records)
    assert (loaded.estimator.predict_proba(matrix) == small_model().estimator.predict_proba(matrix)).all()
    assert not loaded.figures_changed


def test_the_run_writes_down_what_it_was(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    assert (manifest["n"], manifest["seed"]) == (SMALL_N, SMALL_SEED)
    assert "no patient record" in manifest["training_data"]
    assert set(manifest["libraries"]) == {"scikit-learn", "skops", "numpy"}
    assert len(manifest["fixture"]) == 20
    assert set(manifest["conformal_thresholds"]) == set(manifest["classes"])
    assert len(manifest["data_digest"]) == 64 and manifest["code_version"].startswith("0.")
    evaluation_told = json.loads((saved / "evaluation.json").read_text())
    assert manifest["evaluation"]["model"]["log_loss"] == evaluation_told["scores"]["this model"]["log_loss"]["value"]
    assert {"product", "rules alone", "always urgent"} <= set(evaluation_told["tiers"])
    assert {"prevalence", "naive Bayes"} <= set(evaluation_told["scores"])
    card, report = (saved / "card.md").read_text(), (saved / "report.html").read_text()
    for words in (manifest["model_version"], "not tested on this clinic's patients", "Not yet signed by a clinician"):
        assert words in card
    assert "Nothing on this page is proof of safety" in report and manifest["model_version"] in report


def test_a_training_run_compares_everybody_on_every_world() -> None:
    trained = small_model()
    choice, eligible = trained.choice, (NAIVE_BAYES, POSTERIOR, LOGISTIC, BLEND)
    assert set(choice.log_loss) == {*eligible, BOOSTING, "prevalence"}
    assert {world for of_worlds in choice.log_loss.values() for world in of_worlds} == set(worlds().held_back)
    assert choice.chosen in choice.eligible == eligible
    prevalence = np.mean([loss for loss, _ in choice.log_loss["prevalence"].values()])
    assert np.mean([loss for loss, _ in choice.log_loss[choice.chosen].values()]) < prevalence - 1
    assert set(trained.facts["calibration"]["tried"]) == {"none", "temperature", "sigmoid", "isotonic"}
    assert [size for size, _ in trained.learning_curve] == [SMALL_N // 16, SMALL_N // 4, SMALL_N]


TRAIN = """
from models.catalogue import load_catalogue
from models.model_file import version_of
from models.training import train
trained = train(load_catalogue(), n={n}, seed={seed})
facts = {{name: value for name, value in trained.facts.items() if name != "code_version"}}
print(version_of(trained.estimator, facts))
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_where_no_case_can_be_read(tmp_path: Path) -> None:
    """Trained again from copies of the knowledge and the code alone: no published case is anywhere near."""
    root = Path(__file__).parents[1]
    for part in ("models", "schemas"):
        shutil.copytree(root / part, tmp_path / part, ignore=shutil.ignore_patterns("locked", "__pycache__"))
    script = "import sys; sys.path.insert(0, '.')" + TRAIN.format(n=SMALL_N, seed=SMALL_SEED)
    ended = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    mine = {name: value for name, value in small_model().facts.items() if name != "code_version"}
    assert ended.stdout.strip() == version_of(small_model().estimator, mine)


def test_the_locked_model_is_good_on_records_it_never_saw(catalogue: Catalogue, locked: LockedModel) -> None:
    cohort = generate(catalogue, 6000, 987_654_321)
    label = np.searchsorted(np.array(locked.classes), cohort.condition)
    given = evaluation.scores(probabilities(locked, cohort.records), label)
    plain = evaluation.scores(naive_bayes.posterior(catalogue, feature_matrix(cohort.records)), label)
    assert given["log_loss"] < plain["log_loss"]
    assert 0.9 < given["calibration_slope"] < 1.1
    assert given["top3"] > 0.85
    assert given["log_loss"] < scores_of_posterior(catalogue, cohort)["log_loss"] * 1.02  # product page, section 9


def scores_of_posterior(catalogue: Catalogue, cohort: Cohort) -> dict[str, float]:
    posterior = CataloguePosterior.of(catalogue)
    label = np.searchsorted(posterior.classes_, cohort.condition)
    return evaluation.scores(posterior.predict_proba(feature_matrix(cohort.records)), label)


def test_the_locked_model_is_small_and_not_stale(locked: LockedModel) -> None:
    assert sum(path.stat().st_size for path in default_locked_folder().iterdir()) < 2_000_000
    assert not locked.figures_changed, "the catalogue's figures changed: train the locked model again"


def test_probabilities_sum_to_one_and_none_is_zero(catalogue: Catalogue, locked: LockedModel) -> None:
    records = generate(catalogue, 500, 2).records
    given = probabilities(locked, records)
    assert given.shape == (500, 27)
    assert given.min() > 0
    assert np.abs(given.sum(axis=1) - 1).max() < 1e-12
    order = list(reversed(records.columns))
    assert (probabilities(locked, records.select(order)) == given).all()
    assert np.allclose(probabilities(locked, records.reverse())[::-1], given, rtol=1e-9, atol=0)


def test_a_record_that_states_nothing_keeps_the_order_of_the_priors(catalogue: Catalogue, locked: LockedModel) -> None:
    given = probabilities(locked, pl.DataFrame({"record_id": ["a"]}))[0]
    priors = figures.priors(catalogue)
    assert np.abs(given - priors).max() < 0.02
    assert np.corrcoef(np.log(given), np.log(priors))[0, 1] > 0.999


def test_prediction_sets_hold_the_truth_and_are_never_empty(catalogue: Catalogue, locked: LockedModel) -> None:
    cohort = generate(catalogue, 8100, 77, balanced=True)
    read = readings(locked.estimator, feature_matrix(cohort.records))
    held, given = prediction_sets(locked.set_thresholds, read), read.given
    assert held.any(axis=1).all()
    assert held[np.arange(len(held)), given.argmax(axis=1)].all()
    label = np.searchsorted(np.array(locked.classes), cohort.condition)
    covered = evaluation.share_by_class(held[np.arange(len(held)), label], label, locked.classes)
    aim = 1 - decision_costs().conformal_miss_rate
    assert min(covered.values()) > aim - 0.08  # 300 records a class
    assert aim - 0.02 < np.mean(list(covered.values())) < aim + 0.03


def test_thin_and_odd_records_are_told_apart(catalogue: Catalogue, locked: LockedModel) -> None:
    thin = pl.DataFrame(
        {"age_years": [30, 30], "sex": ["male", "male"], "night_pain": [True, True], "rest_pain": [None, True]}
    )
    thin = thin.with_columns(pl.Series("weight_bearing", [None, "limp"]))
    assert too_thin(thin).tolist() == [True, False]
    oddness = dict(zip(feature_names(), locked.manifest["usual_answers"]["oddness"], strict=True))
    rarest = sorted((name for name in oddness if name.endswith("=1")), key=lambda name: -oddness[name])[:4]
    odd = pl.DataFrame({name.removesuffix("=1"): [True] for name in rarest})
    assert unlike_training(locked, odd).tolist() == [True]
    usual = generate(catalogue, 2000, 6).records
    rest = without_red_flags(feature_matrix(usual))
    strange = unlike_training(locked, usual, rest) & ~too_thin(usual, rest)
    assert strange.mean() < 0.006  # meant: one in a thousand


def _edit(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    return apply


def _one_byte(folder: Path) -> None:
    content = bytearray((folder / "model.skops").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.skops").write_bytes(bytes(content))


def _other_content(content: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        import skops.io

        from models.model_file import _sha256

        if isinstance(content, bytes):
            (folder / "model.skops").write_bytes(content)
        else:
            skops.io.dump(content, folder / "model.skops")
        _edit(sha256=_sha256(folder / "model.skops"))(folder)

    return apply


def _other_probability(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["fixture"][3]["probabilities"][0] += 0.001
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "lacks parts"),
        (lambda folder: (folder / "model.skops").unlink(), "no model file"),
        (_one_byte, "not the one its manifest describes"),
        (_edit(libraries={"scikit-learn": "1.0.0", "skops": "0.1"}), "scikit-learn 1.0.0"),
        (_edit(features_digest="0" * 64), "other features"),
        (_edit(classes=["a", "b"]), "other conditions"),
        (_other_content(b"PK no archive"), "cannot be read"),
        (_other_content(TrainedModel(None, (), {}, None, ())), "outside the trusted list"),  # type: ignore[arg-type]
        (_other_content(LogisticRegression()), "expected kind"),
        (_other_probability, "no longer gives the probabilities"),
        (_edit(conformal_thresholds=dict.fromkeys(load_catalogue().conditions, 1.0)), "not the one that the model was"),
        (_edit(model_version="a" * 12), "not the one that the model was"),
        (_edit(evaluation={"records": 9, "model": {"calibration_slope": 1.0}}), "not the one that the model was"),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(stored: Path, spoil: Callable[[Path], object], words: str) -> None:
    spoil(stored)
    with pytest.raises(ModelRefused) as refusal:
        load_model(stored)
    assert words in refusal.value.reason
    assert str(stored) not in refusal.value.reason


def test_a_corrected_figure_is_noticed_but_takes_no_model_out_of_use(catalogue: Catalogue) -> None:
    first = catalogue.conditions["tumour"]
    reworded = replace(first, name="another name")
    corrected = replace(first, prior=replace(first.prior, value=first.prior.value / 2))
    for changed, noticed in ((reworded, False), (corrected, True)):
        other = replace(catalogue, conditions=MappingProxyType({**catalogue.conditions, "tumour": changed}))
        assert (figures_digest(other) != figures_digest(catalogue)) is noticed
        assert load_model(default_locked_folder(), other).figures_changed is noticed


def test_costs_name_exactly_the_dangerous_conditions(catalogue: Catalogue) -> None:
    costs = decision_costs()
    check_costs(costs, catalogue)
    for cost in costs.conditions.values():
        assert 0 < cost.review_from <= cost.raise_from <= 0.5
    fewer = costs.model_copy(update={"conditions": {"tumour": costs.conditions["tumour"]}})
    with pytest.raises(ValueError, match="septic_arthritis"):
        check_costs(fewer, catalogue)


def test_scores_of_known_tables() -> None:
    certain = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    found = evaluation.scores(certain, np.array([0, 2]))
    assert found["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.3)) / 2)
    assert found["brier"] == pytest.approx((0.04 + 0.01 + 0.01 + 0.04 + 0.25 + 0.49) / 2)
    assert (found["top1"], found["top3"]) == (0.5, 1.0)


def test_contributing_factors_need_findings_that_speak_for_them(catalogue: Catalogue) -> None:
    records = pl.DataFrame(
        {
            "record_id": ["nothing", "load", "against"],
            "training__mileage_increase": [None, True, False],
            "training__intensity_increase": [None, True, False],
            "training__race_build": [None, True, False],
        }
    )
    named = contributing_factors(records, catalogue).to_list()
    assert named[0] == []
    assert named[1][0] == "training_overload"
    assert "training_overload" not in named[2]
    many = contributing_factors(generate(catalogue, 2000, 4).records, catalogue)
    assert many.list.len().max() == 3
    assert many.null_count() == 0


def test_a_named_contributing_factor_is_there_as_often_as_its_limit_says(catalogue: Catalogue) -> None:
    cohort = generate(catalogue, 4000, 44)
    named = contributing_factors(cohort.records, catalogue)
    for place, factor in enumerate(catalogue.factors):
        of_it = named.list.contains(factor).to_numpy()
        assert of_it.any(), factor
        there = cohort.factors[of_it, place].mean()
        assert there > decision_costs().contributing_factor_from - 0.05, factor
        assert there > cohort.factors[:, place].mean(), factor
