"""A classifier that is a table of weights: one a class and stated answer.

Belongs here: its arithmetic. Does not belong here: where the weights come from (``models.naive_bayes`` from the
catalogue, ``models.logistic`` from records).
"""

from __future__ import annotations

from typing import Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from models.figures import Floats


class LinearScores(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Scores are ``intercept_`` plus the sum of ``coef_`` (classes x features) over the stated answers."""

    classes_: NDArray[np.str_]
    coef_: Floats
    intercept_: Floats

    @classmethod
    def of(cls, classes: NDArray[np.str_], coef: Floats, intercept: Floats) -> Self:
        """The classifier with these weights."""
        made = cls()
        made.classes_, made.coef_, made.intercept_ = classes, coef, intercept
        return made

    def fit(self, matrix: sparse.csr_array, label: NDArray[np.str_]) -> Self:
        """Nothing to learn: the weights are given. Gives itself."""
        return self

    def predict_proba(self, matrix: sparse.csr_array) -> Floats:
        """Probabilities, n x classes; rows sum to 1."""
        return softmax(self.log_scores(matrix), axis=1)

    def predict(self, matrix: sparse.csr_array) -> NDArray[np.str_]:
        """The likeliest class of each row."""
        return cast(NDArray[np.str_], self.classes_[self.log_scores(matrix).argmax(axis=1)])

    def log_scores(self, matrix: sparse.csr_array) -> Floats:
        """Log-probabilities up to a constant a row, n x classes."""
        return cast(Floats, matrix @ self.coef_.T + self.intercept_)

    def log_scores_without_each(self, matrix: sparse.csr_array) -> Floats:
        """``log_scores`` with one stated answer left out, a row for each entry of ``matrix`` in its order."""
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        return self.log_scores(matrix)[row] - self.coef_.T[matrix.indices]

    def answer_weights(self) -> Floats:
        """What each answer adds when it stands alone, classes x features."""
        return self.coef_
