"""A yardstick for models on generated records: the posterior of the generator itself, very nearly.

Belongs here: what knows how forms are filled in and reads blanks with it. Does not belong here: anything that scores a
clinic's records, since there a blank is never read as an answer.

Beside what ``models.posterior`` sums over, it sums over the kinds of form; in a group of questions that was opened it
reads an unstated finding as what it is worth: stated so often when present, so often when absent. It leaves out what an
unticked "none of these" tells, that a question was not put to this sex or age, and that a group may be opened and left
blank as a whole. So the exact figure lies a little below its log loss.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logsumexp, softmax

from models.catalogue import Catalogue
from models.features import NO, YES, facts, features
from models.figures import Floats
from models.generator_settings import FormKind, generator_settings
from models.posterior import CataloguePosterior
from schemas.form import questions

Ints = NDArray[np.int64]

_LEAST = 1e-3  # an answer that a kind of form hardly ever holds
_CHUNK = 1024


def ceiling(catalogue: Catalogue, matrix: sparse.csr_array) -> Floats:
    """Probabilities of the conditions, n x classes, of rows of ``feature_matrix`` that ``models.cohort`` generated."""
    posterior = CataloguePosterior.of(catalogue, stated=False)
    starts = range(0, matrix.shape[0], _CHUNK)
    return np.concatenate([_chunk(posterior, matrix[start : start + _CHUNK]) for start in starts])


def _chunk(posterior: CataloguePosterior, matrix: sparse.csr_array) -> Floats:
    place = {(feature.column, feature.answer): number for number, feature in enumerate(features())}
    known = [column for column in facts() if (column, YES) in place]
    yes, no = (np.array([place[column, answer] for column in known]) for answer in (YES, NO))
    stated = matrix.toarray() > 0
    of_group = np.array([questions()[feature.column].group for feature in features()])
    opened = {group: stated[:, of_group == group].any(axis=1) for group in set(of_group)}
    blank = np.array([opened[questions()[column].group] for column in known]).T & ~(stated[:, yes] | stated[:, no])
    by_kind = []
    for kind in generator_settings().form_kinds.values():
        often = np.array([_stated(kind, column) for column in known])
        scores = _profile_scores(posterior, matrix, blank.astype(np.float64), yes, often)
        form = np.log(kind.share) + sum(
            np.where(is_open, _log(kind.groups[group].asked), _log(1 - kind.groups[group].asked))
            for group, is_open in opened.items()
        )
        by_kind.append(scores + (form + matrix @ _stated_weights(kind))[:, None])
    return softmax(posterior.to_classes(logsumexp(by_kind, axis=0)), axis=1)


def _profile_scores(
    posterior: CataloguePosterior, matrix: sparse.csr_array, blank: Floats, yes: Ints, often: Floats
) -> Floats:
    """Log of prior times likelihood of each profile, stated and unstated answers together, n x profiles."""
    scores = matrix @ posterior.alone_ + posterior.log_prior_
    linked = np.concatenate([*posterior.groups_, np.empty(0, np.int64)])
    free = ~np.isin(yes, linked)
    scores += blank[:, free] @ _unstated(posterior.alone_[yes[free]], often[free])
    for numbers, within in zip(posterior.groups_, posterior.within_, strict=True):
        own = np.flatnonzero(np.isin(yes, numbers))
        shares = within[np.searchsorted(numbers, yes[own])]
        joint = matrix[:, numbers] @ within + blank[:, own] @ _unstated(shares, often[own])
        scores += posterior.over_scores(joint)
    return cast(Floats, scores)


def _unstated(log_share: Floats, often: Floats) -> Floats:
    """Log-probability that a finding stays unstated, facts x (profiles and scores)."""
    present, absent = often[:, :1], often[:, 1:]
    share = np.exp(log_share)
    return cast(Floats, np.log(np.maximum(1 - share * present - (1 - share) * absent, _LEAST)))


def _log(share: float) -> float:
    return float(np.log(max(share, _LEAST)))


def _stated(kind: FormKind, column: str) -> tuple[float, float]:
    """How often a present (or any) and an absent answer to ``column`` are stated on a form of this kind."""
    question = questions()[column]
    often = generator_settings().record_only if question.ask == "record_only" else 1.0
    if question.asked_of == "clinician" and kind.completed_by != "clinician":
        often = 0.0
    group = kind.groups[question.group]
    return often * group.present, often * group.absent


def _stated_weights(kind: FormKind) -> Floats:
    often = [_stated(kind, feature.column)[int(feature.answer == NO)] for feature in features()]
    return np.log(np.maximum(often, _LEAST))
