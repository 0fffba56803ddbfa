"""How well probabilities fit labels: single figures over a table of probabilities.

Belongs here: scores of a probability table against known conditions. Does not belong here: making either.
"""

from __future__ import annotations

from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from models.evaluation.estimates import Estimate, around, mean, share
from models.figures import Floats

Ints = NDArray[np.int64]
_TINY = 1e-12


class Scores(TypedDict):
    """Scores with intervals; ``log_loss_above_model`` is the mean difference to the model on the same records."""

    log_loss: Estimate | None
    log_loss_above_model: Estimate | None
    brier: Estimate | None
    top1: Estimate | None
    top3: Estimate | None
    calibration_slope: Estimate | None


def scores(probabilities: Floats, label: Ints) -> dict[str, float]:
    """Log loss (nats), multiclass Brier score (0-2), shares of top-1 and top-3 hits, calibration slope.

    Takes n x classes probabilities and n class positions. The slope is the factor on the log-probabilities that fits
    the labels best: 1 is right, below 1 overconfident (multinomial recalibration after Cox 1958).
    """
    rank = ranks(probabilities, label)
    return {
        "log_loss": float(losses(probabilities, label).mean()),
        "brier": float(_briers(probabilities, label).mean()),
        "top1": float((rank < 1).mean()),
        "top3": float((rank < 3).mean()),
        "calibration_slope": _slope(_logs(probabilities), label),
    }


def scores_with_intervals(probabilities: Floats, label: Ints, model: Floats) -> Scores:
    """The same scores, each with n and interval; ``model`` (n x classes) is what the log loss is compared with."""
    rank, loss = ranks(probabilities, label), losses(probabilities, label)
    return {
        "log_loss": mean(loss),
        "log_loss_above_model": mean(loss - losses(model, label)),
        "brier": mean(_briers(probabilities, label)),
        "top1": share(rank < 1),
        "top3": share(rank < 3),
        "calibration_slope": _slope_with_interval(_logs(probabilities), label),
    }


def losses(probabilities: Floats, label: Ints) -> Floats:
    """Log loss of each record in nats, at most 27.6 (a probability of 0 counts as 1e-12)."""
    own = probabilities[np.arange(len(label)), label]
    return cast(Floats, -np.log(np.maximum(own, _TINY)))


def ranks(probabilities: Floats, label: Ints) -> Ints:
    """By record, how many conditions are more probable than the true one: 0 is named first."""
    own = probabilities[np.arange(len(label)), label]
    return cast(Ints, (probabilities > own[:, None]).sum(axis=1))


def _briers(probabilities: Floats, label: Ints) -> Floats:
    wrong = probabilities.copy()
    wrong[np.arange(len(label)), label] -= 1
    return cast(Floats, (wrong**2).sum(axis=1))


def _logs(probabilities: Floats) -> Floats:
    return cast(Floats, np.log(np.maximum(probabilities, _TINY)))


def _slope(logs: Floats, label: Ints) -> float:
    rows = np.arange(len(label))

    def loss(slope: float) -> float:
        return float(-log_softmax(slope * logs, axis=1)[rows, label].mean())

    return float(minimize_scalar(loss, bounds=(0.05, 5), method="bounded", options={"xatol": 1e-4}).x)


def _slope_with_interval(logs: Floats, label: Ints) -> Estimate | None:
    slope = _slope(logs, label)
    expected = softmax(slope * logs, axis=1)
    # What a record says about the slope is the variance of its log-probabilities under the recalibrated ones.
    spread = (expected * logs**2).sum(axis=1) - (expected * logs).sum(axis=1) ** 2
    information = float(np.maximum(spread, 0).sum())
    if information <= 0:
        return None  # every record gives all conditions the same probability: no slope fits better than another
    return around(slope, information**-0.5, len(label))


def share_by_class(hit: NDArray[np.bool_], label: Ints, classes: tuple[str, ...]) -> dict[str, float]:
    """The share of true ``hit`` among the records of each class that has any."""
    return {name: float(hit[label == i].mean()) for i, name in enumerate(classes) if cast(bool, (label == i).any())}
