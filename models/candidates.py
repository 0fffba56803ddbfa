"""The candidates for the classifier, fitted and compared under one protocol.

Belongs here: which candidates there are, how each is tempered, how they do in worlds none of them was fitted in, and
the written rule by which one is chosen. Does not belong here: the candidates themselves, the training run as a whole
(``models.training``). No published case and no clinic's record is ever read here.

The rule: of the candidates that can be taken apart exactly (so that reasons are true), the one with the lowest log loss
on average over the held-back worlds; those within one standard error of it count as equal, and among equals the one
whose worst world is best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold

from models import figures, naive_bayes
from models.catalogue import Catalogue
from models.cohort import generate
from models.features import feature_matrix
from models.figures import Floats
from models.linear_scores import LinearScores
from models.logistic import fit_logistic
from models.pool import LogLinearPool
from models.posterior import CataloguePosterior
from models.worlds import World, worlds

RULE = (
    "Of the candidates that can be taken apart exactly, the lowest mean log loss over the held-back worlds; those"
    " within one standard error of it count as equal, and among equals the one whose worst world is best."
)
PREVALENCE, NAIVE_BAYES, POSTERIOR = "prevalence", "naive_bayes", "posterior"
BOOSTED_RECORDS = 12_000  # boosted trees on 27 classes grow slow: half a minute for these
LOGISTIC, BLEND = "logistic_regression", "blend"
BOOSTING = f"gradient_boosting_on_{BOOSTED_RECORDS}_records"
_TINY = 1e-12

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled records as a model sees them: ``matrix`` of ``feature_matrix``, ``label`` as places of conditions."""

    matrix: sparse.csr_array
    label: Ints


@dataclass(frozen=True, slots=True)
class Choice:
    """Who was compared and who won.

    ``log_loss``: candidate -> world -> (mean, standard error); ``eligible`` could be chosen; ``chosen`` won;
    ``classifier`` is the winner before calibration.
    """

    log_loss: Mapping[str, Mapping[str, tuple[float, float]]]
    eligible: tuple[str, ...]
    chosen: str
    classifier: LogLinearPool


def draw_sample(
    catalogue: Catalogue, n: int, seed: int, *, balanced: bool = False, world: World | None = None
) -> Sample:
    """``n`` generated records of ``world`` (default: the home world)."""
    cohort = generate(catalogue, n, seed, balanced=balanced, world=world)
    return Sample(
        feature_matrix(cohort.records), np.searchsorted(np.array(figures.condition_ids(catalogue)), cohort.condition)
    )


def fit_pools(catalogue: Catalogue, training: Sample) -> dict[str, LogLinearPool]:
    """The candidates that can be taken apart, from the simplest on; ``training`` holds all conditions equally often."""
    ids = np.array(figures.condition_ids(catalogue))
    prior = np.log(figures.priors(catalogue))
    bayes = LinearScores.of(ids, naive_bayes.answer_weights(catalogue), prior)
    posterior = CataloguePosterior.of(catalogue)
    logistic = fit_logistic(catalogue, training.matrix, ids[training.label])
    # Equal weights on purpose: fitted ones would trust the world they were fitted in.
    return {
        NAIVE_BAYES: LogLinearPool.of([bayes]),
        POSTERIOR: LogLinearPool.of([posterior]),
        LOGISTIC: LogLinearPool.of([logistic]),
        BLEND: LogLinearPool.of([posterior, logistic]),
    }


def choose(catalogue: Catalogue, training: Sample, calibration: Sample, *, n_world: int, seed: int) -> Choice:
    """Fit every candidate on ``training``, temper it on ``calibration``, compare on ``n_world`` records a world."""
    pools = fit_pools(catalogue, training)
    prior = np.log(figures.priors(catalogue))
    boosted = _fit_boosting(training)
    scorers: dict[str, Any] = {name: pool.log_scores for name, pool in pools.items()}
    scorers[BOOSTING] = lambda matrix: np.log(np.maximum(boosted.predict_proba(matrix.toarray()), _TINY)) + prior
    scorers[PREVALENCE] = lambda matrix: np.tile(prior, (matrix.shape[0], 1))
    sharpness = {name: temper(scorer(calibration.matrix), calibration.label) for name, scorer in scorers.items()}
    losses: dict[str, dict[str, Floats]] = {name: {} for name in scorers}
    for world_name, world in worlds().held_back.items():
        sample = draw_sample(catalogue, n_world, seed, world=world)
        rows = np.arange(len(sample.label))
        for name, scorer in scorers.items():
            logs = log_softmax(sharpness[name] * scorer(sample.matrix), axis=1)
            losses[name][world_name] = -logs[rows, sample.label]
    chosen = best(losses, tuple(pools))
    return Choice(
        log_loss={
            name: {world: (float(loss.mean()), _standard_error(loss)) for world, loss in of_worlds.items()}
            for name, of_worlds in losses.items()
        },
        eligible=tuple(pools),
        chosen=chosen,
        classifier=pools[chosen],
    )


def best(losses: Mapping[str, Mapping[str, Floats]], eligible: tuple[str, ...]) -> str:
    """The candidate that ``RULE`` chooses, from the loss of every record of every world."""
    mean = {name: np.mean([loss.mean() for loss in losses[name].values()]) for name in eligible}
    leader = min(eligible, key=lambda name: mean[name])
    equal = []
    for name in eligible:
        gaps = [losses[name][world] - losses[leader][world] for world in losses[leader]]
        error = np.sqrt(np.sum([_standard_error(gap) ** 2 for gap in gaps])) / len(gaps)
        if mean[name] - mean[leader] <= error:
            equal.append(name)
    return min(equal, key=lambda name: max(loss.mean() for loss in losses[name].values()))


def _standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def temper(log_scores: Floats, label: Ints) -> float:
    """The factor on log-scores that fits ``label`` best: 1 / temperature (Guo and others 2017)."""
    rows = np.arange(len(label))

    def loss(sharpness: float) -> float:
        return float(-log_softmax(sharpness * log_scores, axis=1)[rows, label].mean())

    return float(minimize_scalar(loss, bounds=(0.05, 5), method="bounded", options={"xatol": 1e-4}).x)


def _fit_boosting(training: Sample) -> HistGradientBoostingClassifier:
    rows = slice(0, BOOSTED_RECORDS)
    steps = max(1, min(len(training.label) // 900, 60))  # a small run has little to learn from
    boosted = HistGradientBoostingClassifier(
        max_iter=steps, learning_rate=0.15, max_leaf_nodes=8, early_stopping=False, random_state=0
    )
    return boosted.fit(training.matrix[rows].toarray(), training.label[rows])


def calibrations(
    classifier: LogLinearPool, fit: Sample, judge: Sample, dangerous: list[int]
) -> dict[str, dict[str, float | bool]]:
    """Ways to calibrate ``classifier``, each fitted on ``fit`` and judged on ``judge``, records it never saw.

    For each: ``log_loss``, whether it gives a dangerous class exactly 0 (``gives_zero``), and whether the reasons stay
    exact (``exact_reasons``: one factor for all classes).
    """
    rows = np.arange(len(judge.label))

    def told(probabilities: Floats, *, exact: bool) -> dict[str, float | bool]:
        logs = np.log(np.maximum(probabilities[rows, judge.label], _TINY))
        zero = bool((probabilities[:, dangerous] <= 0).any())
        return {"log_loss": float(-logs.mean()), "gives_zero": zero, "exact_reasons": exact}

    found = {"none": told(classifier.predict_proba(judge.matrix), exact=True)}
    for method in ("temperature", "sigmoid", "isotonic"):
        # The classifier is fitted, so the folds only order the predictions: they need not hold every condition.
        calibrated = CalibratedClassifierCV(FrozenEstimator(classifier), method=method, cv=KFold(2))
        calibrated.fit(fit.matrix, classifier.classes_[fit.label])
        found[method] = told(calibrated.predict_proba(judge.matrix), exact=method == "temperature")
    return found


def best_calibration(tried: Mapping[str, Mapping[str, float | bool]]) -> str:
    """The way with the lowest log loss that keeps the reasons exact and gives no dangerous class exactly 0."""
    allowed = [name for name, way in tried.items() if way["exact_reasons"] and not way["gives_zero"]]
    return min(allowed, key=lambda name: tried[name]["log_loss"])
