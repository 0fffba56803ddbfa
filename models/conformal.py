"""From which probability on a condition cannot be excluded, by split conformal prediction.

Belongs here: the thresholds of a model. Does not belong here: applying them to records (``models.differential``).
"""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
from mapie.classification import SplitConformalClassifier
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from models.figures import Floats

Ints = NDArray[np.int64]


class _Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of two classes for which the probabilities are the input: they were worked out before."""

    def fit(self, probabilities: Floats | None = None, label: Ints | None = None) -> Self:
        """Nothing to learn: name the classes, 0 for the others and 1 for the class itself."""
        self.classes_ = np.arange(2)
        return self

    def predict_proba(self, probabilities: Floats) -> Floats:
        """The input."""
        return probabilities

    def predict(self, probabilities: Floats) -> Ints:
        """The likeliest class."""
        return np.asarray(probabilities.argmax(axis=1))


def class_thresholds(probabilities: Floats, label: Ints, miss_rate: float) -> Floats:
    """Per class, the probability below which it leaves the prediction set.

    At most ``miss_rate`` of new records of a class fall below its threshold when they come from where the given ones
    (n x classes, n positions) come from: class-conditional split conformal prediction (Vovk 2012), so the coverage
    holds for every condition and so for every group of them. One MAPIE conformaliser a class, with the LAC score. A
    class with too few records to say gets 0, so it always stays in the set.
    """
    given = _Given().fit()
    found = np.zeros(probabilities.shape[1])
    for position in range(probabilities.shape[1]):
        own = label == position
        if int(own.sum() + 1) * miss_rate < 1:
            continue
        # This class against all others: cautious probabilities of all classes need not sum to 1.
        scores = np.column_stack([1 - probabilities[own, position], probabilities[own, position]])
        conformaliser = SplitConformalClassifier(given, confidence_level=1 - miss_rate, prefit=True)
        with warnings.catch_warnings():
            # Each conformaliser sees the records of one class on purpose; MAPIE warns that the others are missing.
            warnings.filterwarnings("ignore", message="WARNING: your conformalization dataset has less labels")
            conformaliser.conformalize(scores, np.ones(len(scores), dtype=np.int64))
        # The LAC score is one minus the probability of the class; MAPIE keeps whatever scores up to its quantile.
        conformaliser.predict_set(scores[:1])
        found[position] = 1 - float(conformaliser._mapie_classifier.quantiles_[0])
    return np.maximum(found, 0.0)
