"""How far what outcomes taught is trusted: a pool of two estimators whose weight is chosen by validation.

Belongs here: ``pool``, ``choose_weight`` and ``fit_blend``. Does not belong here: the learning itself
(``models.outcome_learning``), the estimator (``models.posterior`` or ``models.naive_bayes``), passed in as ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from models import figures
from models.catalogue import Catalogue
from models.feature_shares import answer_shares
from models.features import feature_matrix
from models.figures import Floats
from models.outcome_learning import learn
from models.outcome_settings import learning_settings

Ints = NDArray[np.int64]
Predict = Callable[[Catalogue, sparse.csr_array], Floats]
Learn = Callable[[Catalogue, pl.DataFrame, Sequence[str], Floats], Catalogue]

_TINY = 1e-12  # keeps a logarithm finite; no estimator of this project gives 0


def pool(literature: Floats, outcomes: Floats, weight: float) -> Floats:
    """``literature ** (1 - weight) * outcomes ** weight``, each row divided by its sum (logarithmic opinion pool).

    Takes two tables of probabilities, n x conditions, and ``weight`` from 0 to 1. With weight 0 and 1 one of them comes
    back. A condition that either gives a probability above 0 keeps one.
    """
    logs = ((1 - weight) * np.log(np.maximum(literature, _TINY)), weight * np.log(np.maximum(outcomes, _TINY)))
    return softmax(logs[0] + logs[1], axis=1)


@dataclass(frozen=True, slots=True)
class WeightChoice:
    """The chosen weight and what it rests on.

    ``grid``: the weights tried; ``loss``: weighted mean log loss (nats) of each; ``error``: standard error of its
    difference to the lowest, paired by record; ``outcomes``: how many.
    """

    weight: float
    grid: tuple[float, ...]
    loss: tuple[float, ...]
    error: tuple[float, ...]
    outcomes: int


def choose_weight(literature: Floats, outcomes: Floats, label: Ints, counts: Floats) -> WeightChoice:
    """The smallest weight of ``outcomes`` in the pool whose log loss is within one standard error of the lowest.

    ``literature`` and ``outcomes``: probabilities of the same n records, n x conditions, the second from an estimator
    that has not seen them (``cross_fitted``); ``label``: n condition places; ``counts``: how much each outcome counts,
    above 0. The error is that of the difference, record by record: two estimators mostly err on the same people.
    Without outcomes the weight is 0. Of weights that cannot be told apart the smallest, because the literature can be
    reviewed line by line.
    """
    steps = learning_settings().weight_steps
    grid = np.arange(steps + 1) / steps
    if not len(label):
        return WeightChoice(0.0, tuple(grid.tolist()), (), (), 0)
    rows = np.arange(len(label))
    losses = np.array([-np.log(np.maximum(pool(literature, outcomes, w)[rows, label], _TINY)) for w in grid])
    share = counts / counts.sum()
    mean = losses @ share
    best = int(mean.argmin())
    apart = (losses - losses[best]) - (mean - mean[best])[:, None]
    error = np.sqrt((apart**2) @ share**2)
    chosen = int(np.flatnonzero(mean - mean[best] <= error)[0])
    return WeightChoice(
        float(grid[chosen]), tuple(grid.tolist()), tuple(mean.tolist()), tuple(error.tolist()), len(label)
    )


def folds_of(records: pl.DataFrame) -> Ints:
    """The part (0 to ``folds`` - 1) of each record for cross-fitting; the same records always fall into the same parts.

    Whole clinics where there are at least as many clinics as parts; else whole patients (``patient_key``, or the record
    where it is blank), so that two forms of one person never stand on both sides.
    """
    folds = learning_settings().folds
    patient = pl.coalesce("patient_key", pl.concat_str(pl.lit("record "), "record_id"))
    by_clinic = records["clinic_id"].n_unique() >= folds
    name = pl.col("clinic_id") if by_clinic else pl.concat_str("clinic_id", pl.lit(" "), patient)
    groups = records.select(name.alias("group")).to_series()
    # Dealt out in turn in the order of the names, so that the parts are as even as the groups allow.
    return cast(Ints, (groups.rank("dense").cast(pl.Int64).to_numpy() - 1) % folds)


def cross_fitted(
    catalogue: Catalogue,
    records: pl.DataFrame,
    condition: Sequence[str],
    counts: Floats,
    predict: Predict,
    learner: Learn = learn,
) -> Floats:
    """Probabilities of each record, n x conditions, by ``learner`` from the other parts (``folds_of``)."""
    fold, named = folds_of(records), np.array(condition, dtype=np.str_)
    matrix = feature_matrix(records)
    found = np.empty((records.height, len(catalogue.conditions)))
    for part in np.unique(fold):
        own, others = fold == part, fold != part
        learnt = learner(catalogue, records.filter(others), named[others].tolist(), counts[others])
        found[own] = predict(learnt, matrix[np.flatnonzero(own)])
    return found


@dataclass(frozen=True, slots=True)
class Blend:
    """The literature's catalogue, the one that outcomes taught, and how far the second is trusted."""

    literature: Catalogue
    learnt: Catalogue
    choice: WeightChoice

    @property
    def evidence_basis(self) -> str:
        """``literature``, or ``literature+outcomes(n)`` where outcomes carry weight."""
        return f"literature+outcomes({self.choice.outcomes})" if self.choice.weight > 0 else "literature"

    def predict(self, matrix: sparse.csr_array, predict: Predict) -> Floats:
        """Pooled probabilities of rows of ``feature_matrix``, n x conditions."""
        literature = predict(self.literature, matrix)
        if self.choice.weight == 0:
            return literature
        return pool(literature, predict(self.learnt, matrix), self.choice.weight)


def fit_blend(
    catalogue: Catalogue, records: pl.DataFrame, condition: Sequence[str], counts: Floats, predict: Predict
) -> Blend:
    """Learn from labelled records (n, of ``record_schema``), and choose the weight by cross-fitting.

    ``condition``: n confirmed condition ids; ``counts``: how much each counts (``models.teaching_outcomes``), above 0.
    """
    if not records.height:
        nothing = np.empty((0, len(catalogue.conditions)))
        return Blend(catalogue, catalogue, choose_weight(nothing, nothing, np.empty(0, np.int64), np.empty(0)))
    label = np.searchsorted(np.array(figures.condition_ids(catalogue)), np.array(condition, dtype=np.str_))
    literature = predict(catalogue, feature_matrix(records))
    learner = partial(learn, shares=answer_shares(catalogue, drawn=False))
    outcomes = cross_fitted(catalogue, records, condition, counts, predict, learner)
    choice = choose_weight(literature, outcomes, label, counts)
    return Blend(catalogue, learn(catalogue, records, condition, counts), choice)
