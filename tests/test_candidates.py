"""Candidates under one protocol: the rule of choice, calibration, prediction sets."""

from __future__ import annotations

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier

from models.candidates import BLEND, LOGISTIC, NAIVE_BAYES, POSTERIOR, best, best_calibration, temper
from models.conformal import _Given, class_thresholds
from models.figures import Place
from models.linear_scores import LinearScores
from models.pool import LogLinearPool
from models.worlds import worlds

ELIGIBLE = (NAIVE_BAYES, POSTERIOR, LOGISTIC, BLEND)


def losses(**means: tuple[float, float]) -> dict[str, dict[str, np.ndarray]]:
    """Losses of 400 records in two worlds with these means, the same noise for every candidate."""
    noise = np.random.default_rng(0).normal(0, 0.2, 400)
    noise -= noise.mean()
    return {name: {"a": first + noise, "b": second + noise} for name, (first, second) in means.items()}


def test_the_lowest_mean_wins() -> None:
    given = losses(naive_bayes=(1.3, 1.4), posterior=(1.1, 1.2), logistic_regression=(1.0, 1.2), blend=(0.9, 1.1))
    assert best(given, ELIGIBLE) == BLEND


def test_among_equals_the_best_worst_world_wins() -> None:
    given = losses(naive_bayes=(2, 2), posterior=(2, 2), logistic_regression=(0.90, 1.20), blend=(1.0, 1.1001))
    noise = np.random.default_rng(1).normal(0, 2.0, 400)
    given[BLEND] = {world: loss + noise - noise.mean() for world, loss in given[BLEND].items()}
    assert best(given, ELIGIBLE) == BLEND  # its mean is higher by less than the noise of the difference


def test_what_cannot_be_taken_apart_is_not_chosen() -> None:
    given = losses(naive_bayes=(1.3, 1.4), posterior=(1.1, 1.2), logistic_regression=(1, 1), blend=(1, 1.1))
    given["gradient_boosting"] = losses(gradient_boosting=(0.1, 0.1))["gradient_boosting"]
    assert best(given, ELIGIBLE) == LOGISTIC


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ({"none": (1.0, False, True), "temperature": (0.9, False, True)}, "temperature"),
        ({"none": (1.0, False, True), "temperature": (1.1, False, True)}, "none"),
        ({"none": (1.0, False, True), "isotonic": (0.5, True, True)}, "none"),  # gives a dangerous class exactly 0
        ({"none": (1.0, False, True), "sigmoid": (0.5, False, False)}, "none"),  # reasons would no longer be exact
    ],
)
def test_calibration_is_chosen_by_log_loss_among_what_may_be_used(
    tried: dict[str, tuple[float, bool, bool]], expected: str
) -> None:
    ways = {
        name: dict(zip(("log_loss", "gives_zero", "exact_reasons"), way, strict=True)) for name, way in tried.items()
    }
    assert best_calibration(ways) == expected


def test_tempering_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1.5, (20_000, 5))
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    label = (chances.cumsum(axis=1) < rng.random(20_000)[:, None]).sum(axis=1)
    assert temper(3 * scores, label) == pytest.approx(1 / 3, rel=0.05)


def test_thresholds_are_those_of_the_conformal_library() -> None:
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(4), 2000)
    label = rng.integers(0, 3, 2000)  # class 3 never occurs
    limits = class_thresholds(given, label, 0.1)
    assert limits[3] == 0.0
    fresh = rng.dirichlet(np.ones(4), 500)
    for place in range(3):
        own = label == place
        ranked = np.sort(given[own, place])
        assert limits[place] == pytest.approx(ranked[int(np.floor(0.1 * (own.sum() + 1))) - 1])
        library = SplitConformalClassifier(_Given().fit(), confidence_level=0.9, prefit=True)
        with pytest.warns(UserWarning, match="less labels"):
            library.conformalize(_two(given[own, place]), np.ones(own.sum(), dtype=int))
        assert (library.predict_set(_two(fresh[:, place]))[1][:, 1, 0] == (fresh[:, place] >= limits[place])).all()


def _two(chance: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - chance, chance])


def test_a_class_with_too_few_records_stays_in_every_set() -> None:
    given = np.array([[0.9, 0.1]] * 5 + [[0.2, 0.8]] * 40)
    assert class_thresholds(given, np.array([0] * 5 + [1] * 40), 0.1)[0] == 0.0


def test_worlds_differ_from_home_and_from_each_other() -> None:
    told = worlds()
    kinds = [world.model_copy(update={"seed": 0}) for world in told.held_back.values()]
    assert told.home not in kinds
    assert len({world.seed for world in told.held_back.values()}) == len(kinds)
    assert {world.figures for world in kinds} == {Place.WITHIN, Place.AT_THE_ENDS}


def test_a_pool_takes_equals_only() -> None:
    one = LinearScores.of(np.array(["a", "b"]), np.zeros((2, 3)), np.zeros(2))
    other = LinearScores.of(np.array(["a", "c"]), np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="same classes"):
        LogLinearPool.of([one, other])
    with pytest.raises(ValueError, match="summing to 1"):
        LogLinearPool.of([one, one], [0.5, 0.6])
