"""The posterior of the catalogue: exact by hand, exact for the world it describes, and taken apart exactly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy import sparse
from scipy.special import ndtr, ndtri, softmax

from models import candidates, evaluation, figures, form_filling, naive_bayes
from models.catalogue import Catalogue, load_catalogue
from models.ceiling import ceiling
from models.cohort import generate
from models.feature_shares import answer_shares, leans
from models.features import Feature, feature_matrix, feature_names, features
from models.generator_settings import generator_settings
from models.linear_scores import LinearScores
from models.pool import LogLinearPool
from models.posterior import CataloguePosterior
from models.reporting import usual_log_ratios

FEVER, CHILLS = Feature("systemic__fever", "1"), Feature("systemic__chills", "1")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def posterior(catalogue: Catalogue) -> CataloguePosterior:
    return CataloguePosterior.of(catalogue)


@pytest.fixture(scope="module")
def matrix(catalogue: Catalogue) -> sparse.csr_array:
    return feature_matrix(generate(catalogue, 200, 12).records)


def one_row(*stated: Feature) -> sparse.csr_array:
    row = np.zeros((1, len(feature_names())))
    row[0, [features().index(feature) for feature in stated]] = 1
    return sparse.csr_array(row)


def test_the_answers_of_a_question_share_everybody(catalogue: Catalogue) -> None:
    for scores in (None, np.array([-1.5, 0.0, 2.0])):
        shares = answer_shares(catalogue, scores)
        for column in ("night_pain", "weight_bearing", "temperature_c", "age_years", "onset"):
            total = np.sum([share for feature, share in shares.items() if feature.column == column], axis=0)
            assert np.abs(total - 1).max() < 2e-3, column  # no share lies below 1e-4, so a sum may pass 1


def test_one_answer_is_bayes_rule(catalogue: Catalogue, posterior: CataloguePosterior) -> None:
    nodes, weights = hermegauss(31)
    of_class = figures.profile_conditions(catalogue)
    share = answer_shares(catalogue, nodes, stated=True)[FEVER] @ (weights / weights.sum())
    weight = np.exp(posterior.log_prior_) * share
    expected = np.bincount(of_class, weight) / weight.sum()
    assert posterior.predict_proba(one_row(FEVER))[0] == pytest.approx(expected, abs=2e-3)  # nine nodes


def test_two_linked_findings_count_less_than_two_witnesses(catalogue: Catalogue, posterior: CataloguePosterior) -> None:
    """By hand, with central figures: fever and chills lean on one score, which is integrated numerically."""
    tables, of_class = figures.tables(catalogue), figures.profile_conditions(catalogue)
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-(grid**2) / 2)
    together = np.ones((len(of_class), grid.size))
    for feature in (FEVER, CHILLS):
        lean = leans()[feature.column][1]
        share = figures.central(feature.column, tables[feature.column])[:, 0]
        present = ndtr((ndtri(share)[:, None] + lean * grid) / np.sqrt(1 - lean**2))
        more_often = np.exp(usual_log_ratios([feature.column])[0])
        stray, background = generator_settings().stray_answers, figures.background_profile(catalogue)
        present = (1 - stray) * present + stray * present[background]
        together *= present * more_often / (present * more_often + 1 - present)
    joint = np.exp(posterior.log_prior_) * (together @ density)
    by_hand = np.bincount(of_class, joint) / joint.sum()
    given = posterior.predict_proba(one_row(FEVER, CHILLS))[0]
    # The estimator averages over drawn figures, so it agrees closely and not exactly.
    assert given == pytest.approx(by_hand, abs=0.03)
    place = list(posterior.classes_).index("septic_arthritis")
    alone = naive_bayes.posterior(catalogue, one_row(FEVER, CHILLS))[0, place]
    assert figures.priors(catalogue)[place] < given[place] < alone


def test_it_is_right_where_blanks_mean_nothing(
    catalogue: Catalogue, posterior: CataloguePosterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a world where answers are blank at random the posterior is the truth: slope 1, and nobody does better."""
    settings = generator_settings()
    kinds = {}
    for name, kind in settings.form_kinds.items():
        groups = {
            group: stated.model_copy(update={"absent": stated.present / 2, "present": stated.present / 2})
            for group, stated in kind.groups.items()
        }
        kinds[name] = kind.model_copy(update={"groups": groups, "none_of_these": 0.0})
    at_random = settings.model_copy(update={"form_kinds": kinds})
    monkeypatch.setattr(form_filling, "generator_settings", lambda: at_random)
    cohort = generate(catalogue, 8000, 4)
    stated = feature_matrix(cohort.records)
    label = np.searchsorted(posterior.classes_, cohort.condition)
    plain = CataloguePosterior.of(catalogue, stated=False)
    own = evaluation.scores(plain.predict_proba(stated), label)
    assert 0.95 < own["calibration_slope"] < 1.05
    assert own["log_loss"] < evaluation.scores(naive_bayes.posterior(catalogue, stated), label)["log_loss"]


def test_the_ceiling_is_above_everybody(catalogue: Catalogue, posterior: CataloguePosterior) -> None:
    sample = candidates.draw_sample(catalogue, 1000, 77)
    best = evaluation.scores(ceiling(catalogue, sample.matrix), sample.label)["log_loss"]
    for other in (posterior.predict_proba(sample.matrix), naive_bayes.posterior(catalogue, sample.matrix)):
        assert best < evaluation.scores(other, sample.label)["log_loss"]


def test_a_blank_record_keeps_the_priors(catalogue: Catalogue, posterior: CataloguePosterior) -> None:
    given = posterior.predict_proba(sparse.csr_array((1, len(feature_names()))))[0]
    assert given == pytest.approx(figures.priors(catalogue))


def test_leaving_an_answer_out_is_what_it_says(
    catalogue: Catalogue, posterior: CataloguePosterior, matrix: sparse.csr_array
) -> None:
    ids = np.array(figures.condition_ids(catalogue))
    bayes = LinearScores.of(ids, naive_bayes.answer_weights(catalogue), np.log(figures.priors(catalogue)))
    pool = LogLinearPool.of([posterior, bayes], sharpness=0.9)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    picked = np.random.default_rng(0).integers(0, matrix.nnz, 40)
    for estimator in (bayes, posterior, pool):
        without = estimator.log_scores_without_each(matrix)
        for entry in picked:
            less = matrix[[row[entry]]].toarray()
            less[0, matrix.indices[entry]] = 0
            by_hand = estimator.predict_proba(sparse.csr_array(less))[0]
            assert softmax(without[entry]) == pytest.approx(by_hand, abs=1e-9)


def test_a_pool_of_one_is_that_one_and_weights_pull(matrix: sparse.csr_array, catalogue: Catalogue) -> None:
    ids, prior = np.array(figures.condition_ids(catalogue)), np.log(figures.priors(catalogue))
    bayes = LinearScores.of(ids, naive_bayes.answer_weights(catalogue), prior)
    nothing = LinearScores.of(ids, np.zeros_like(bayes.coef_), prior)
    assert LogLinearPool.of([bayes]).predict_proba(matrix) == pytest.approx(bayes.predict_proba(matrix))
    half = LogLinearPool.of([bayes, nothing]).log_scores(matrix)
    assert half == pytest.approx((bayes.log_scores(matrix) + nothing.log_scores(matrix)) / 2)
    assert LogLinearPool.of([bayes, nothing], [0.0, 1.0]).predict_proba(matrix) == pytest.approx(
        nothing.predict_proba(matrix)
    )


def test_profiles_share_their_condition_out(catalogue: Catalogue) -> None:
    shares = {name: 0.0 for name in figures.condition_ids(catalogue)}
    for profile in figures.profiles(catalogue):
        shares[profile.condition] += profile.share
    assert list(shares.values()) == pytest.approx([1.0] * 27)
    names = [profile.name for profile in figures.profiles(catalogue)]
    assert len(names) == len(set(names)) and {"osteoid_osteoma", "pyomyositis"} <= set(names)
    assert [catalogue.conditions[profile.condition].id for profile in figures.profiles(catalogue)] == sorted(
        profile.condition for profile in figures.profiles(catalogue)
    )


def test_subgroups_tell_apart(catalogue: Catalogue, posterior: CataloguePosterior) -> None:
    """A young person with pain at night and an old one with a known cancer are both likelier to have a tumour."""
    place = list(posterior.classes_).index("tumour")
    prior = figures.priors(catalogue)[place]
    young = (Feature("age_years", "18 to under 25", 18, 25), Feature("night_pain", "1"))
    old = (Feature("age_years", "65 and over", 65), Feature("history__cancer", "1"))
    crossed = (Feature("age_years", "18 to under 25", 18, 25), Feature("history__cancer", "1"))
    chance = {
        name: posterior.predict_proba(one_row(*stated))[0, place]
        for name, stated in {"young": young, "old": old, "crossed": crossed}.items()
    }
    assert chance["young"] > prior and chance["old"] > 5 * prior
    assert chance["crossed"] < chance["old"]


def test_features_of_every_combination_stay_possible(posterior: CataloguePosterior) -> None:
    for first, second in product(("cannot", "normal"), ("1", "0")):
        given = posterior.predict_proba(one_row(Feature("weight_bearing", first), Feature("systemic__fever", second)))
        assert given.min() > 0 and given.sum() == pytest.approx(1)
