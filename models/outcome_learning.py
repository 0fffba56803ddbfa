"""Literature as prior, outcomes as data: a catalogue whose figures have moved with confirmed outcomes.

Belongs here: ``learn`` and its opposite ``outcomes_alone``. Does not belong here: which outcomes may teach
(``models.teaching_outcomes``), what a figure is worth (``models.literature_prior``), how far what was learnt is trusted
(``models.outcome_blend``).

Every figure is a prior worth n0 patients, and n stated answers of confirmed patients move it:

- yes/no: Beta prior; choices and the priors of conditions: Dirichlet prior; posterior mean (n0 * m + count) / (n0 + n);
- numbers: the median has a normal prior; it moves by (sum of distances) / (n0 + n), the other percentiles with it.

**Seen through the form.** A blank is not a no, so only stated answers count. But forms write a present finding down
more often than an absent one, and the share among stated answers is too high for every condition. So the prior of a
yes/no finding is first moved to the scale of stated answers by what forms usually do, updated there, and moved back
(``models.reporting``): a figure of the catalogue means "once asked", before and after. Where this clinic's forms, or
its people, differ from that in a way common to all conditions, the level of the question moves for all conditions
alike, also for those without an outcome. Whether pens or people differ cannot be told, and does not matter for
comparing conditions. Without this step a condition with outcomes would gain on every finding over one without.

Choices and numbers are taken as they are stated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import polars as pl
from scipy.special import expit, logit, softmax

from models import figures
from models.catalogue import Catalogue, Likelihood, Prior
from models.feature_shares import answer_shares
from models.features import NO, YES, Feature, facts, features
from models.figure_moves import Key, Move, moved_catalogue
from models.figures import PERCENTILES, Floats, log_odds, to_scale
from models.generator_settings import generator_settings
from models.literature_prior import choice_worth, number_worth, priors_worth, share_worth
from models.outcome_counts import OutcomeCounts, spread_of
from models.outcome_settings import learning_settings
from models.reporting import level_shifts, usual_log_ratios
from schemas.form import questions

Shares = Mapping[Feature, Floats]  # of ``feature_shares.answer_shares``: profiles x 1


def learn(
    catalogue: Catalogue,
    records: pl.DataFrame,
    condition: Sequence[str],
    weight: Floats,
    *,
    shares: Shares | None = None,
    part: float = 1.0,
) -> Catalogue:
    """The catalogue after ``records`` (n, of ``record_schema``), each with a confirmed condition and a weight above 0.

    Every figure keeps its source; its note says what it was worth and how many outcomes moved it, and its range shrinks
    by sqrt(n0 / (n0 + n)). Subgroups of a condition move with it. A dangerous condition's prior never falls below its
    range: people with it are sent elsewhere at once and come back as outcomes less often. Without records the catalogue
    comes back as it is. ``shares``: ``answer_shares(catalogue, drawn=False)`` where it is at hand, to save time.

    ``part`` (0 to 1): how much of the way every figure goes, in log-odds, and every prior, in logarithms. That is what
    pooling the two naive Bayes estimators on the log scale with this weight comes to (``models.outcome_blend``), as a
    catalogue that records can be generated from.

    Raises ``ValueError`` for lengths that differ, unknown conditions or weights not above 0.
    """
    counts = OutcomeCounts.of(figures.condition_ids(catalogue), records, condition, weight)
    if not records.height:
        return catalogue
    return _updated(catalogue, shares or answer_shares(catalogue, drawn=False), counts, alone=False, part=part)


def outcomes_alone(catalogue: Catalogue, records: pl.DataFrame, condition: Sequence[str], weight: Floats) -> Catalogue:
    """What the same records would teach somebody who has read nothing: the other extreme, for comparison only.

    Every figure starts at its share over all records, the same for every condition, and every condition is as common as
    the next; both are worth next to nothing (``outcomes_alone`` in the settings). Arguments as in ``learn``.
    """
    counts = OutcomeCounts.of(figures.condition_ids(catalogue), records, condition, weight)
    unread = _without_literature(catalogue, counts)
    return _updated(unread, answer_shares(unread, drawn=False), counts, alone=True)


def _updated(
    catalogue: Catalogue, shares: Shares, counts: OutcomeCounts, *, alone: bool, part: float = 1.0
) -> Catalogue:
    moves = _moves(catalogue, shares, counts, alone=alone)
    moves = {key: move.part_of_the_way(part) for key, move in moves.items()}
    return moved_catalogue(catalogue, moves, _priors(catalogue, counts, alone=alone, part=part))


def _moves(catalogue: Catalogue, shares: Shares, counts: OutcomeCounts, *, alone: bool) -> dict[Key, Move]:
    boxes = [feature.column for feature in shares if feature.answer == YES]
    choices: dict[str, list[str]] = {}
    for feature in shares:
        if questions()[feature.column].type == "choice":
            choices.setdefault(feature.column, []).append(feature.answer)
    moves = _box_moves(catalogue, boxes, shares, counts, alone=alone)
    for column, answers in choices.items():
        moves |= _choice_moves(catalogue, column, answers, shares, counts, alone=alone)
    for column in sorted({f.column for f in shares} & set(generator_settings().numbers)):
        move = _number_move(catalogue, column, counts, alone=alone)
        moves |= {(column, answer): move for answer in PERCENTILES}
    return moves


def _rows(catalogue: Catalogue, column: str, answer: str) -> list[Likelihood]:
    """The figure of every condition, in the order of ``condition_ids``; the background's where it has none."""
    background = catalogue.conditions[figures.BACKGROUND].likelihood(column, answer)
    rows = [
        catalogue.conditions[name].likelihood(column, answer) or background for name in figures.condition_ids(catalogue)
    ]
    return [row for row in rows if row is not None]


def _worth(rows: list[Likelihood], *, alone: bool) -> Floats:
    return np.full(len(rows), learning_settings().outcomes_alone.figure) if alone else share_worth(rows)


def _box_moves(
    catalogue: Catalogue, columns: list[str], shares: Shares, counts: OutcomeCounts, *, alone: bool
) -> dict[Key, Move]:
    """Yes/no answers, all at once: conditions x columns."""
    yes, no = (np.array([counts.by_answer[Feature(column, a)] for column in columns]).T for a in (YES, NO))
    n = yes + no
    asked = _by_condition(catalogue, np.array([shares[Feature(column, YES)][:, 0] for column in columns]).T)
    usual = log_odds(asked) + usual_log_ratios(columns)
    # Moved to another level, a prior keeps what it knows in log-odds: n0 * p * (1 - p) stays the same.
    known = np.array([_worth(_rows(catalogue, column, YES), alone=alone) for column in columns]).T * asked * (1 - asked)
    shift = np.zeros(len(columns)) if alone else level_shifts(columns, usual, known / _variance(usual), yes, no)
    stated = usual + shift
    worth = known / _variance(stated)
    by = logit((worth * expit(stated) + yes) / (worth + n)) - usual
    moves = {column: Move.of_outcomes(by[:, i], worth[:, i], n[:, i]) for i, column in enumerate(columns)}
    return {(member, YES): moves[column] for column in columns for member in facts()[column]}


def _variance(odds: Floats) -> Floats:
    return expit(odds) * expit(-odds)


def _by_condition(catalogue: Catalogue, by_profile: Floats) -> Floats:
    """Shares of profiles (profiles x columns) as shares of conditions, comorbid pairs and subgroups weighed in."""
    return figures.mixing(catalogue) @ by_profile


def _choice_moves(
    catalogue: Catalogue,
    column: str,
    answers: list[str],
    shares: Shares,
    counts: OutcomeCounts,
    *,
    alone: bool,
) -> dict[Key, Move]:
    """Choices, taken as they are stated: a form that asks for one of several gets one whichever it is."""
    known = [answer for answer in answers if len(_rows(catalogue, column, answer)) == len(counts.ids)]
    rows = [_rows(catalogue, column, answer) for answer in known]
    worth = _worth(rows[0], alone=True) if alone else choice_worth(rows)
    value = _by_condition(catalogue, np.array([shares[Feature(column, answer)][:, 0] for answer in known]).T).T
    value = value / value.sum(axis=0)
    found = np.array([counts.by_answer[Feature(column, answer)] for answer in known])
    n = found.sum(axis=0)
    moved = log_odds((worth * value + found) / (worth + n)) - log_odds(value)
    return {(column, answer): Move.of_outcomes(by, worth, n) for answer, by in zip(known, moved, strict=True)}


def _number_move(catalogue: Catalogue, column: str, counts: OutcomeCounts, *, alone: bool) -> Move:
    shape = generator_settings().numbers[column]
    rows = [_rows(catalogue, column, answer) for answer in PERCENTILES]
    percentiles = to_scale(np.array([[row.value for row in of_answer] for of_answer in rows]).T, shape)
    worth = _worth(rows[1], alone=True) if alone else number_worth(rows[1], spread_of(percentiles), shape)
    n, distance = counts.distances(column, percentiles)
    return Move.of_outcomes(distance / (worth + n), worth, n)


def _priors(catalogue: Catalogue, counts: OutcomeCounts, *, alone: bool, part: float) -> list[Prior]:
    rows = [catalogue.conditions[name].prior for name in counts.ids]
    worth = learning_settings().outcomes_alone.condition * len(rows) if alone else priors_worth(rows)
    n = counts.by_condition
    before = figures.priors(catalogue)
    value = softmax((1 - part) * np.log(before) + part * np.log((worth * before + n) / (worth + n.sum())))
    dangerous = [catalogue.conditions[name].dangerous and not alone for name in counts.ids]
    value = _not_below(value, np.where(dangerous, [row.low for row in rows], 0.0))
    narrower = np.sqrt(worth / (worth + n.sum())) ** part
    ends = [log_odds(np.array([row.value, row.low, row.high])) for row in rows]
    moved = [expit(log_odds(new) + narrower * (old - old[0])) for new, old in zip(value, ends, strict=True)]
    return [
        replace(row, value=float(new), low=float(min(low, new)), high=float(max(high, new)))
        for row, new, (_, low, high) in zip(rows, value, moved, strict=True)
    ]


def _not_below(value: Floats, floor: Floats) -> Floats:
    """Probabilities with a sum of 1, none below its floor: what is held up is taken from the others in proportion."""
    held = np.zeros(len(value), dtype=np.bool_)
    while (too_low := ~held & (value < floor)).any():
        held |= too_low
        value = np.where(held, floor, value * (1 - floor[held].sum()) / value[~held].sum())
    return value


def _without_literature(catalogue: Catalogue, counts: OutcomeCounts) -> Catalogue:
    """Every condition with the same figures: the shares and percentiles of all records together."""
    pooled: dict[Key, float] = {}
    for column in {feature.column for feature in features()}:
        of_column = [feature for feature in features() if feature.column == column]
        if of_column[0].answer == YES:
            yes, no = (counts.by_answer[Feature(column, answer)].sum() + 0.5 for answer in (YES, NO))
            asked = float(expit(np.log(yes / no) - usual_log_ratios([column])[0]))
            pooled |= {(member, YES): asked for member in facts()[column]}
        elif column in generator_settings().numbers:
            percentiles = counts.percentiles(column)
            if percentiles is not None:
                pooled |= {(column, a): float(x) for a, x in zip(PERCENTILES, percentiles, strict=True)}
        else:
            found = {feature.answer: counts.by_answer[feature].sum() + 0.5 for feature in of_column}
            pooled |= {(column, answer): n / sum(found.values()) for answer, n in found.items()}
    background = catalogue.conditions[figures.BACKGROUND]
    rows = tuple(_flat(row, pooled.get((row.column, row.answer), row.value)) for row in background.likelihoods)
    even = 1 / len(catalogue.conditions)
    conditions = {
        name: replace(
            condition,
            prior=replace(condition.prior, value=even, low=even, high=even),
            likelihoods=rows,
            subgroups=(),
        )
        for name, condition in catalogue.conditions.items()
    }
    return replace(catalogue, conditions=MappingProxyType(conditions), comorbid_pairs=())


def _flat(row: Likelihood, value: float) -> Likelihood:
    return replace(row, value=value, low=value, high=value, note="share among all outcomes")
