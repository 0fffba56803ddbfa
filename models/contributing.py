"""Mechanical causes that may have contributed, several at once, beside any condition.

Belongs here: how probable each contributing factor of the catalogue is, given what a record states. Does not belong
here: what helps against it (the catalogue and the advice).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from scipy import sparse
from scipy.special import expit

from models.catalogue import Catalogue, Likelihood
from models.decision_costs import decision_costs
from models.features import NO, YES, facts, feature_bins, feature_matrix, features
from models.figures import Floats, log_odds
from models.reporting import usual_log_ratios

_MOST_NAMED = 3


def contributing_factors(
    records: pl.DataFrame, catalogue: Catalogue, matrix: sparse.csr_array | None = None
) -> pl.Series:
    """Up to three factor ids a record, most probable first; a list of strings, never null.

    A factor is named when its probability (prior odds times the likelihood ratios of the stated findings, taken as
    independent) reaches the written limit and the findings speak for it: a high prior alone names nothing. ``matrix``:
    the ``feature_matrix`` of the records where the caller has it.
    """
    weights = factor_weights(catalogue, stated=True)
    prior = factor_priors(catalogue)
    evidence = (feature_matrix(records) if matrix is None else matrix) @ weights.T
    odds = evidence + prior
    named = (odds >= log_odds(decision_costs().contributing_factor_from)) & (evidence > 0)
    order = np.argsort(-odds, axis=1, kind="stable")
    named_in_order = np.take_along_axis(named, order, axis=1)
    kept = named_in_order & (named_in_order.cumsum(axis=1) <= _MOST_NAMED)
    starts = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    ids = pa.array(list(catalogue.factors)).take(pa.array(order[kept]))
    return pl.Series("contributing_factors", pl.from_arrow(pa.ListArray.from_arrays(pa.array(starts), ids)))


def factor_priors(catalogue: Catalogue) -> Floats:
    """Prior log-odds of each factor, in catalogue order."""
    return np.array([log_odds(factor.prior.value) for factor in catalogue.factors.values()])


def factor_weights(catalogue: Catalogue, *, stated: bool) -> Floats:
    """Log likelihood ratio of every feature for each factor against its absence, factors x features.

    ``stated``: for answers as forms state them, present ones more often than absent ones (``models.reporting``); else
    for the answers of people who were asked everything.
    """
    boxes = feature_bins().same_as_box
    weights = np.zeros((len(catalogue.factors), len(features())))
    position = {(feature.column, feature.answer): i for i, feature in enumerate(features())}
    leading = {member: column for column, members in facts().items() for member in members}
    for row, factor in enumerate(catalogue.factors.values()):
        without = {(f.column, f.answer): f for f in factor.without}
        seen: set[str] = set()
        for figure in factor.likelihoods:
            other = without.get((figure.column, figure.answer))
            box = boxes.get(figure.column, {}).get(figure.answer)
            column, answer = (box, YES) if box else (leading.get(figure.column, figure.column), figure.answer)
            # A fact counts once, whichever of its columns a figure names.
            if other is None or (column, answer) not in position or f"{column}={answer}" in seen:
                continue
            seen.add(f"{column}={answer}")
            more_often = float(usual_log_ratios([column])[0]) if stated and (column, NO) in position else 0.0
            present, absent = _ratios(figure, other, more_often)
            weights[row, position[column, answer]] = present
            if (column, NO) in position:
                weights[row, position[column, NO]] = absent
    return weights


def _ratios(with_it: Likelihood, without: Likelihood, more_often: float) -> tuple[float, float]:
    a, b = expit(log_odds(np.array([with_it.value, without.value])) + more_often)
    return float(np.log(a / b)), float(np.log((1 - a) / (1 - b)))
