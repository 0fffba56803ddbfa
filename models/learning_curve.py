"""What learning from outcomes would bring, shown on simulated clinics that differ from the literature.

Belongs here: ``learning_curve`` and the clinics it is drawn on. Does not belong here: the learning itself
(``models.outcome_learning``, ``models.outcome_blend``). No simulated record is a patient: the curve shows that the
method works where the truth is known, not how well it does on people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from models import figures
from models.catalogue import Catalogue, Likelihood, Prior
from models.cohort import generate
from models.features import feature_matrix
from models.figure_moves import Key, Move, moved_catalogue
from models.figures import PERCENTILES, Floats, log_odds, to_scale
from models.generator_settings import Shape, generator_settings
from models.literature_prior import INTERVAL_SDS
from models.outcome_blend import Predict, fit_blend, pool
from models.outcome_learning import outcomes_alone

_TINY = 1e-12
_FRESH_SEED = 500_009  # fresh records are drawn this far from the outcomes


def differing_clinic(catalogue: Catalogue, seed: int, times: float) -> Catalogue:
    """The true frequencies of one simulated clinic, drawn around the literature ``times`` as widely as its ranges.

    Every share, median and prior moves by a normal draw of its own whose standard deviation is ``times`` that of its
    range read as a central 90 % interval (shares and priors in log-odds; the percentiles of a number move together, and
    subgroups with their condition). No range is left: this clinic's figures are what they are.
    """
    rng, ids = np.random.default_rng(seed), figures.condition_ids(catalogue)
    moves: dict[Key, Move] = {}
    for row in catalogue.conditions[figures.BACKGROUND].likelihoods:
        if row.answer in ("p05", "p95"):
            continue
        rows = [catalogue.conditions[name].likelihood(row.column, row.answer) or row for name in ids]
        shape = generator_settings().numbers[row.column] if row.answer == "p50" else None
        by = times * _deviation(rows, shape) * rng.standard_normal(len(ids))
        move = Move(by, keeps=np.zeros(len(ids)))
        moves |= {(row.column, answer): move for answer in (PERCENTILES if shape else (row.answer,))}
    priors = [catalogue.conditions[name].prior for name in ids]
    weights = figures.priors(catalogue) * np.exp(times * _deviation(priors, None) * rng.standard_normal(len(ids)))
    sure = [
        replace(row, value=float(p), low=float(p), high=float(p))
        for row, p in zip(priors, weights / weights.sum(), strict=True)
    ]
    return moved_catalogue(catalogue, moves, sure)


def _deviation(rows: Sequence[Likelihood] | Sequence[Prior], shape: Shape | None) -> Floats:
    low, high = np.array([(row.low, row.high) for row in rows]).T
    scaled = [to_scale(end, shape) if shape else log_odds(end) for end in (low, high)]
    return (scaled[1] - scaled[0]) / INTERVAL_SDS


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """One point of the curve: ``outcomes`` learnt from, and what it brings on fresh records of the same clinic.

    ``literature``, ``alone``, ``learnt`` and ``blend``: mean log loss (nats). ``weight``: that of the blend.
    ``worse``: mean difference of the blend to the better of literature and outcomes alone, and ``error`` its standard
    error, paired by record.
    """

    outcomes: int
    literature: float
    alone: float
    learnt: float
    blend: float
    weight: float
    worse: float
    error: float


def learning_curve(
    catalogue: Catalogue,
    clinic: Catalogue,
    predict: Predict,
    *,
    sizes: Sequence[int] = (0, 50, 200, 1000, 5000),
    fresh: int = 4000,
    seed: int = 1,
) -> tuple[LearningPoint, ...]:
    """Learn from more and more outcomes of a simulated clinic, and score each time on the same fresh records of it.

    ``catalogue``: the literature; ``clinic``: the truth (``differing_clinic``); ``predict``: the estimator. Those of a
    smaller size are the first of a larger one. Every outcome counts fully.
    """
    ids = np.array(figures.condition_ids(catalogue))
    past, later = generate(clinic, max(*sizes, 1), seed), generate(clinic, fresh, seed + _FRESH_SEED)
    matrix, label = feature_matrix(later.records), np.searchsorted(ids, later.condition)

    def losses(probabilities: Floats) -> Floats:
        return cast(Floats, -np.log(np.maximum(probabilities[np.arange(fresh), label], _TINY)))

    read = predict(catalogue, matrix)
    literature = losses(read)
    points = []
    for size in sizes:
        records, condition, counts = past.records.head(size), past.condition[:size].tolist(), np.ones(size)
        blend = fit_blend(catalogue, records, condition, counts, predict)
        alone = losses(predict(outcomes_alone(catalogue, records, condition, counts), matrix))
        learnt = predict(blend.learnt, matrix)
        blended = losses(pool(read, learnt, blend.choice.weight))
        apart = blended - (literature if literature.mean() <= alone.mean() else alone)
        points.append(
            LearningPoint(
                outcomes=size,
                literature=float(literature.mean()),
                alone=float(alone.mean()),
                learnt=float(losses(learnt).mean()),
                blend=float(blended.mean()),
                weight=blend.choice.weight,
                worse=float(apart.mean()),
                error=float(apart.std() / np.sqrt(fresh)),
            )
        )
    return tuple(points)
