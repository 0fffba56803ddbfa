"""How much more often a present finding is written down than an absent one, and what that does to shares.

Belongs here: the ratio that forms usually have, and how a clinic departs from it. Does not belong here: what outcomes
teach (``models.outcome_learning``), what generated forms leave blank (``models.form_filling``).

A figure of the catalogue says how many have a finding *once asked*. On forms a present finding is written down with
another chance than an absent one; if the ratio r of the two is the same for all conditions, the share among the
*stated* answers follows from Bayes' rule:

    logit(share among stated answers) = logit(share) + log(r)

An estimator that looks at stated answers only has to compare these shares: with them it conditions on what was stated.
With the shares once asked it counts findings for a condition merely because the condition makes people write more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.catalogue import load_catalogue
from models.features import YES
from models.figures import BACKGROUND, Floats
from models.generator_settings import generator_settings
from models.outcome_settings import learning_settings
from schemas.form import NONE_OF_THESE, questions

_STEPS, _LONGEST_STEP = 40, 1.0


def usual_log_ratios(columns: Sequence[str]) -> Floats:
    """For each yes/no column log(chance that a present finding is stated / chance that an absent one is).

    Over all kinds of form of ``generator.yaml`` that ask the question (judgement). A ticked "none of these" states the
    absence of all boxes of its group, where in hip pain of other causes none of them would be present.
    """
    found = []
    for column in columns:
        present = absent = 0.0
        for kind in generator_settings().form_kinds.values():
            stated = kind.groups[questions()[column].group]
            if questions()[column].asked_of == "clinician" and kind.completed_by != "clinician":
                continue
            cleared = kind.none_of_these * _none_else(column)
            present += kind.share * stated.asked * stated.present
            absent += kind.share * stated.asked * (cleared + (1 - cleared) * stated.absent)
        found.append(np.log(present / absent))
    return np.array(found)


@cache
def _none_else(column: str) -> float:
    """The share of people with hip pain of other causes who have no other box of this one's group; 0 without the box.

    Boxes are taken as independent.
    """
    group = questions()[column].box_group
    if f"{group}__{NONE_OF_THESE}" not in questions():
        return 0.0
    background = load_catalogue().conditions[BACKGROUND]
    others = [c for c, q in questions().items() if q.box_group == group and c != column]
    rows = [background.likelihood(other, YES) for other in others]
    return float(np.prod([1 - row.value for row in rows if row]))


def level_shifts(columns: Sequence[str], prior: Floats, worth: Floats, yes: Floats, no: Floats) -> Floats:
    """For each column the shift in log-odds, common to all conditions, that brings ``prior`` to what forms state.

    ``prior`` (log-odds of shares among stated answers, by the literature and usual forms), ``worth`` (patients behind
    them), ``yes`` and ``no`` (weighted stated answers) are conditions x columns. The shift solves

        sum over conditions of worth / (worth + n) * (yes - n * expit(prior + shift)) = 0

    A condition with many outcomes says no more about the level than its literature is worth, because its own departure
    from the literature cannot be told from the level. Shifts are held towards that of the question's group on the form
    by a normal penalty, and the group's towards 0 (``reporting_sd``). A column that nobody answered has none.
    """
    sd = learning_settings().reporting_sd
    names = sorted({questions()[column].group for column in columns})
    group = np.array([names.index(questions()[column].group) for column in columns])
    n = yes + no
    trust = worth / (worth + n)
    of_group = _solve(group, np.zeros(len(names)), sd.group, prior, trust, yes, n)
    shifts = _solve(np.arange(len(columns)), of_group[group], sd.question, prior, trust, yes, n)
    return np.where(n.sum(axis=0) > 0, shifts, 0.0)


def _solve(
    part: NDArray[np.int64], centre: Floats, sd: float, prior: Floats, trust: Floats, yes: Floats, n: Floats
) -> Floats:
    """One shift a part (``part``: the part of each column), by Newton steps of at most 1 on a concave sum."""
    shift = centre.copy()
    for _ in range(_STEPS):
        share = expit(prior + shift[part])
        slope = np.bincount(part, (trust * (yes - n * share)).sum(axis=0), len(centre)) - (shift - centre) / sd**2
        curve = np.bincount(part, (trust * n * share * (1 - share)).sum(axis=0), len(centre)) + 1 / sd**2
        shift = shift + np.clip(slope / curve, -_LONGEST_STEP, _LONGEST_STEP)
    return shift
