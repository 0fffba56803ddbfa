"""The literature as a prior: what a figure of the catalogue is worth, in patients.

Belongs here: from a figure's range to an effective sample size. Does not belong here: what outcomes make of it
(``models.outcome_learning``).

A range is read as a central 90 % interval on the scale where figures vary evenly (log-odds for shares, the number's own
scale for a median). Its standard deviation, held above the least of the settings, is that of an estimate from n0
patients: for a share sqrt(1 / (n0 * m * (1 - m))), for a median (spread among people) / sqrt(n0). On log-odds, because
a rare finding given as 0.3 % (0.1 to 0.9) is known within a factor of three, which takes hundreds of patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.catalogue import Likelihood, Prior
from models.figures import Floats, log_odds, to_scale
from models.generator_settings import Shape
from models.outcome_settings import LeastSd, learning_settings

INTERVAL_SDS = 2 * 1.6448536269514722  # a central 90 % interval is this many standard deviations wide


def share_worth(rows: Sequence[Likelihood]) -> Floats:
    """The size n0 of a Beta prior for each share, one figure a row."""
    least = _least(rows, learning_settings().literature.share_sd)
    return _patients(_information(rows, least) / _variance(rows))


def choice_worth(rows: Sequence[Sequence[Likelihood]]) -> Floats:
    """The size n0 of a Dirichlet prior for each condition; ``rows``: answers x conditions.

    A Dirichlet distribution has one size: that of its answers, each as far as it is common.
    """
    least = learning_settings().literature.share_sd
    each = [_information(of_answer, _least(of_answer, least)) / (1 - _value(of_answer)) for of_answer in rows]
    return _patients(np.sum(each, axis=0))


def priors_worth(priors: Sequence[Prior]) -> float:
    """The size n0 of the one Dirichlet prior of all conditions."""
    least = np.full(len(priors), learning_settings().literature.prior_sd)
    return float(_patients(np.sum(_information(priors, least) / (1 - _value(priors)), keepdims=True))[0])


def number_worth(medians: Sequence[Likelihood], spread: Floats, shape: Shape) -> Floats:
    """What each median (``p50``) is worth.

    ``spread``: the standard deviation of the number among people, one a median, on the scale of ``shape``.
    """
    low, high = (
        to_scale(np.array(ends), shape) for ends in zip(*[(row.low, row.high) for row in medians], strict=True)
    )
    least = _least(medians, learning_settings().literature.number_sd)
    return _patients(1 / np.maximum((high - low) / INTERVAL_SDS / spread, least) ** 2)


def _value(rows: Sequence[Likelihood] | Sequence[Prior]) -> Floats:
    return np.clip([row.value for row in rows], 1e-4, 1 - 1e-4)


def _variance(rows: Sequence[Likelihood]) -> Floats:
    value = _value(rows)
    return value * (1 - value)


def _information(rows: Sequence[Likelihood] | Sequence[Prior], least: Floats) -> Floats:
    """One over the variance of the log-odds."""
    low, high = (log_odds(np.array(ends)) for ends in zip(*[(row.low, row.high) for row in rows], strict=True))
    return 1 / np.maximum((high - low) / INTERVAL_SDS, least) ** 2


def _least(rows: Sequence[Likelihood], least: LeastSd) -> Floats:
    return np.array([least.seen if row.provenance == "seen" else least.judgement for row in rows])


def _patients(size: Floats) -> Floats:
    return np.maximum(size, learning_settings().literature.least_patients)
