"""The classifier in use: one or several estimators, their log-probabilities averaged and tempered.

Belongs here: the log-linear pool, and what every part of it must offer. Does not belong here: the parts
(``models.posterior``, ``models.linear_scores``), which parts are chosen (``models.candidates``).

A log-linear pool multiplies the opinions, each to the power of its weight, and makes them sum to 1 again (Genest and
Zidek 1986). Like each of its parts it can be taken apart: the change of a log-probability when an answer is left out is
the weighted sum of the changes in the parts.
"""

from __future__ import annotations

from typing import Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from models.figures import Floats

_CHUNK = 4096


class Part(Protocol):
    """An estimator that can stand in a pool."""

    classes_: NDArray[np.str_]

    def predict_proba(self, matrix: sparse.csr_array) -> Floats:
        """Probabilities, n x classes; rows sum to 1."""

    def log_scores(self, matrix: sparse.csr_array) -> Floats:
        """Log-probabilities up to a constant a row, n x classes."""

    def log_scores_without_each(self, matrix: sparse.csr_array) -> Floats:
        """``log_scores`` with one stated answer left out, a row for each entry of ``matrix`` in its order."""

    def answer_weights(self) -> Floats:
        """What each answer adds when it stands alone, classes x features."""


class LogLinearPool(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """``parts_`` pooled with ``weights_`` (sum 1); ``sharpness_`` multiplies the result, 1 / temperature."""

    classes_: NDArray[np.str_]
    parts_: list[Part]
    weights_: list[float]
    sharpness_: float

    @classmethod
    def of(cls, parts: list[Part], weights: list[float] | None = None, sharpness: float = 1.0) -> Self:
        """The pool of ``parts``, by default with equal weights.

        Raises ``ValueError`` unless all parts know the same classes and the weights, one a part, sum to 1.
        """
        weights = weights or [1 / len(parts)] * len(parts)
        if any(list(part.classes_) != list(parts[0].classes_) for part in parts):
            raise ValueError("the parts of a pool must know the same classes")
        if len(weights) != len(parts) or abs(sum(weights) - 1) > 1e-9:
            raise ValueError("a pool takes one weight a part, summing to 1")
        made = cls()
        made.parts_, made.weights_ = list(parts), list(weights)
        made.sharpness_, made.classes_ = float(sharpness), parts[0].classes_
        return made

    def tempered(self, sharpness: float) -> Self:
        """The same pool with every log-probability times ``sharpness``."""
        return self.of(self.parts_, self.weights_, self.sharpness_ * sharpness)

    def fit(self, matrix: sparse.csr_array, label: NDArray[np.str_]) -> Self:
        """Nothing to learn: the parts are fitted before. Gives itself."""
        return self

    def predict_proba(self, matrix: sparse.csr_array) -> Floats:
        """Probabilities, n x classes, of rows of ``feature_matrix``; rows sum to 1."""
        starts = range(0, matrix.shape[0], _CHUNK)
        parts = [softmax(self.log_scores(matrix[start : start + _CHUNK]), axis=1) for start in starts]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes_)))

    def predict(self, matrix: sparse.csr_array) -> NDArray[np.str_]:
        """The likeliest class of each row."""
        return cast(NDArray[np.str_], self.classes_[self.predict_proba(matrix).argmax(axis=1)])

    def log_scores(self, matrix: sparse.csr_array) -> Floats:
        """Log-probabilities up to a constant a row, n x classes."""
        return self._pooled([part.log_scores(matrix) for part in self.parts_])

    def log_scores_without_each(self, matrix: sparse.csr_array) -> Floats:
        """``log_scores`` with one stated answer left out, a row for each entry of ``matrix`` in its order."""
        return self._pooled([part.log_scores_without_each(matrix) for part in self.parts_])

    def answer_weights(self) -> Floats:
        """What each answer adds when it stands alone, classes x features."""
        each = [weight * part.answer_weights() for weight, part in zip(self.weights_, self.parts_, strict=True)]
        return cast(Floats, self.sharpness_ * np.sum(each, axis=0))

    def _pooled(self, scores: list[Floats]) -> Floats:
        each = [weight * part for weight, part in zip(self.weights_, scores, strict=True)]
        return cast(Floats, self.sharpness_ * np.sum(each, axis=0))
