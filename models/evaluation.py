"""How well probabilities fit labels: the figures that stand in a model's card.

Belongs here: scores of a probability table against known conditions. Does not belong here: making either.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from models.figures import Floats

Ints = NDArray[np.int64]
_TINY = 1e-12


def scores(probabilities: Floats, label: Ints) -> dict[str, float]:
    """Log loss (nats), multiclass Brier score (0-2), shares of top-1 and top-3 hits, calibration slope.

    Takes n x classes probabilities and n class positions. The slope is the factor on the log-probabilities that fits
    the labels best: 1 is right, below 1 overconfident (multinomial recalibration after Cox 1958).
    """
    logs = np.log(np.maximum(probabilities, _TINY))
    rows = np.arange(len(label))
    wrong = probabilities.copy()
    wrong[rows, label] -= 1
    better = (probabilities > probabilities[rows, label][:, None]).sum(axis=1)
    return {
        "log_loss": float(-logs[rows, label].mean()),
        "brier": float((wrong**2).sum(axis=1).mean()),
        "top1": float((better < 1).mean()),
        "top3": float((better < 3).mean()),
        "calibration_slope": _slope(logs, label),
    }


def _slope(logs: Floats, label: Ints) -> float:
    rows = np.arange(len(label))

    def loss(slope: float) -> float:
        return float(-log_softmax(slope * logs, axis=1)[rows, label].mean())

    return float(minimize_scalar(loss, bounds=(0.05, 5), method="bounded", options={"xatol": 1e-4}).x)


def class_thresholds(probabilities: Floats, label: Ints, miss_rate: float) -> Floats:
    """Per class, the probability below which the class leaves the prediction set (split conformal within the class).

    At most ``miss_rate`` of new records of a class fall below its threshold when they come from where the given
    records came from (class-conditional split conformal prediction; Vovk 2012). A class with too few records to say
    gets 0, so it always stays in the set.
    """
    found = np.zeros(probabilities.shape[1])
    for position in range(probabilities.shape[1]):
        own = np.sort(probabilities[label == position, position])
        rank = int(np.floor(miss_rate * (len(own) + 1)))
        found[position] = own[rank - 1] if rank >= 1 else 0.0
    return found


def share_by_class(hit: NDArray[np.bool_], label: Ints, classes: tuple[str, ...]) -> dict[str, float]:
    """The share of true ``hit`` among the records of each class that has any."""
    return {name: float(hit[label == i].mean()) for i, name in enumerate(classes) if cast(bool, (label == i).any())}
