"""The posterior of the catalogue: what its figures, priors and linked findings together say of a record.

Belongs here: an estimator whose only knowledge is the catalogue. Does not belong here: the shares it reads
(``models.feature_shares``), what is fitted to records (``models.candidates``).

It is exact for the generator's world where answers are blank at random (``stated`` False), and near where they are not:
figures drawn from their ranges are averaged over, subgroups and comorbid pairs are summed over, and the score that a
group of linked findings shares is integrated out by Gauss-Hermite quadrature, so that fever, chills and a raised CRP
count as one process and not as three independent witnesses. A blank weighs nothing. What it leaves out: that a blank
among stated boxes is weakly a no, that kinds of form differ in what they state, that what gets stated says something of
the shared score (the share among stated answers is taken score by score), and that six findings are parts of others
(``implies`` in ``generator.yaml``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self, cast

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from models import figures
from models.catalogue import Catalogue
from models.feature_shares import answer_shares, leans
from models.features import features
from models.figures import Floats

Ints = NDArray[np.int64]

_NODES = 9
_CHUNK = 4096


class CataloguePosterior(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Probabilities of the conditions given stated answers, by Bayes' rule from the catalogue.

    ``classes_``: condition ids; ``profile_class_``: for each profile the place of its class; ``log_prior_``: of each
    profile; ``alone_``: log-shares of the features, features x profiles, without links; ``groups_``: for each linked
    group the feature numbers; ``within_``: their log-shares, one array features x (scores * profiles) a group;
    ``node_weights_``: weights of the scores.
    """

    classes_: NDArray[np.str_]

    @classmethod
    def of(cls, catalogue: Catalogue, *, stated: bool = True) -> Self:
        """The posterior of ``catalogue``.

        ``stated``: a finding counts by its share among stated answers, since present ones get stated more often than
        absent ones; else by its share once asked.
        """
        made = cls()
        nodes, weights = hermegauss(_NODES)
        shares = answer_shares(catalogue, nodes, stated=stated)
        group_of = {column: group for column, (group, _) in leans().items()}
        of_class = figures.profile_conditions(catalogue)
        share = np.array([profile.share for profile in figures.profiles(catalogue)])
        made.classes_ = np.array(figures.condition_ids(catalogue))
        made.profile_class_ = of_class
        made.log_prior_ = np.log(figures.priors(catalogue)[of_class] * share)
        made.node_weights_ = weights / weights.sum()
        made.alone_ = np.zeros((len(features()), len(of_class)))
        grouped: dict[str, list[int]] = {}
        for number, feature in enumerate(features()):
            if feature not in shares:
                continue
            if feature.column in group_of:
                grouped.setdefault(group_of[feature.column], []).append(number)
            else:
                made.alone_[number] = np.log(shares[feature][:, 0])
        made.groups_ = [np.array(numbers) for numbers in grouped.values()]
        made.within_ = [
            np.log(np.array([shares[features()[number]].T for number in numbers])).reshape(len(numbers), -1)
            for numbers in grouped.values()
        ]
        return made

    def fit(self, matrix: sparse.csr_array, label: NDArray[np.str_]) -> Self:
        """Nothing to learn from records: the catalogue is all it knows. Gives itself."""
        return self

    def predict_proba(self, matrix: sparse.csr_array) -> Floats:
        """Probabilities, n x classes, of rows of ``feature_matrix``; rows sum to 1."""
        parts = [softmax(self.log_scores(part), axis=1) for part in _chunks(matrix)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes_)))

    def predict(self, matrix: sparse.csr_array) -> NDArray[np.str_]:
        """The likeliest class of each row."""
        return cast(NDArray[np.str_], self.classes_[self.predict_proba(matrix).argmax(axis=1)])

    def log_scores(self, matrix: sparse.csr_array) -> Floats:
        """Log of prior times likelihood of each class, n x classes."""
        return self.to_classes(self._profile_scores(matrix))

    def log_scores_without_each(self, matrix: sparse.csr_array) -> Floats:
        """``log_scores`` with one stated answer left out, a row for each entry of ``matrix`` in its order."""
        whole = self._profile_scores(matrix)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        left = whole[row] - self.alone_[matrix.indices]
        for numbers, within in zip(self.groups_, self.within_, strict=True):
            place = np.full(matrix.shape[1], -1)
            place[numbers] = np.arange(len(numbers))
            own = np.flatnonzero(place[matrix.indices] >= 0)
            if not own.size:
                continue
            rows, back = np.unique(row[own], return_inverse=True)
            joint = np.exp(matrix[rows][:, numbers] @ within)
            full = self._over_scores(joint)
            # Leaving an answer out divides by its share: no second exponential.
            without = joint[back]
            without *= np.exp(-within)[place[matrix.indices[own]]]
            left[own] += self._over_scores(without) - full[back]
        return self.to_classes(left)

    def answer_weights(self) -> Floats:
        """What each answer adds when it stands alone, classes x features."""
        one_each = sparse.eye_array(self.alone_.shape[0], format="csr")
        return (self.log_scores(one_each) - self.to_classes(self.log_prior_[None])).T

    def _profile_scores(self, matrix: sparse.csr_array) -> Floats:
        scores = matrix @ self.alone_ + self.log_prior_
        for numbers, within in zip(self.groups_, self.within_, strict=True):
            stated = matrix[:, numbers]
            rows = np.flatnonzero(np.diff(stated.indptr))
            if rows.size:
                scores[rows] += self.over_scores(stated[rows] @ within)
        return cast(Floats, scores)

    def over_scores(self, joint: Floats) -> Floats:
        """Integrate a group's score out: rows x (scores * profiles) to rows x profiles, as logarithms.

        A group has a few dozen answers and no share is below 1e-4, so the exponentials stay far above zero.
        """
        return self._over_scores(np.exp(joint))

    def _over_scores(self, shares: Floats) -> Floats:
        by_score = shares.reshape(len(shares), len(self.node_weights_), -1)
        return cast(Floats, np.log(self.node_weights_ @ by_score))

    def to_classes(self, scores: Floats) -> Floats:
        """Sum the profiles of each class, rows x profiles to rows x classes, as logarithms."""
        most = scores.max(axis=1, keepdims=True)
        member = (self.profile_class_[:, None] == np.arange(len(self.classes_))).astype(np.float64)
        return cast(Floats, np.log(np.maximum(np.exp(scores - most) @ member, 1e-300)) + most)


def _chunks(matrix: sparse.csr_array) -> Iterator[sparse.csr_array]:
    for start in range(0, matrix.shape[0], _CHUNK):
        yield matrix[start : start + _CHUNK]
