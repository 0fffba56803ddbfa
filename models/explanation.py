"""Which stated findings speak for and against a condition, exactly as the linear model weighs them.

Belongs here: taking a probability apart. Does not belong here: wording for people.

The weight of a finding is the change of the condition's log-odds against all others that stating it made: the log-odds
as they are, less the log-odds with that answer blank. For a linear model this needs no second scoring: blanking feature
j multiplies the odds of every class k by exp(-w_kj).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from models.decision_costs import decision_costs
from models.differential import prediction_sets
from models.features import NO, YES, facts, feature_bins, feature_matrix, features
from models.figures import Floats
from models.model_file import LockedModel

Ints = NDArray[np.int64]

_CHUNK = 4096  # records taken apart at once: bounds memory to a few dozen MB
_TINY = 1e-300
REASON = pl.List(
    pl.Struct(
        {"column": pl.String, "answer": pl.String, "condition": pl.String, "direction": pl.String, "weight": pl.Float64}
    )
)


def reasons(
    model: LockedModel, records: pl.DataFrame, probabilities: Floats, top: int = 3, per_condition: int = 4
) -> pl.Series:
    """Findings for and against the likeliest conditions of each record, strongest first within a condition.

    Takes records and their ``probabilities`` (n x classes); explains the ``top`` likeliest conditions and every
    dangerous one that cannot be excluded, most probable condition first, by at most ``per_condition`` stated answers
    each. Gives a list of (column, answer, condition, direction "for" or "against", weight in log-odds) a record; the
    sign of weight agrees with direction. A fact that two columns carry is told once, under a column that states it.
    """
    matrix = feature_matrix(records)
    order, told = _conditions_told(model, probabilities, top)
    parts = [
        _strongest(
            model,
            matrix[start : start + _CHUNK],
            probabilities[start : start + _CHUNK],
            order[start : start + _CHUNK],
            told[start : start + _CHUNK],
            per_condition,
            start,
        )
        for start in range(0, records.height, _CHUNK)
    ]
    if not parts:
        return pl.Series("reasons", [], dtype=REASON)
    row, feature, condition = (np.concatenate([part[i] for part in parts]).astype(np.int64) for i in range(3))
    weight = np.concatenate([part[3] for part in parts])
    return _as_lists(model, records, row, feature, condition, weight)


def _conditions_told(model: LockedModel, probabilities: Floats, top: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Conditions of each record by falling probability, and which of them get explained, both n x classes."""
    dangerous = np.isin(model.classes, list(decision_costs().conditions))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    held = prediction_sets(model, probabilities) & dangerous
    told = np.take_along_axis(held, order, axis=1)
    told[:, :top] = True
    return order, told


def _strongest(
    model: LockedModel,
    matrix: sparse.csr_array,
    probabilities: Floats,
    order: Ints,
    told: NDArray[np.bool_],
    per_condition: int,
    first_row: int,
) -> tuple[Ints, Ints, Ints, Floats]:
    """Rows, features, conditions and weights of the strongest stated answers of one chunk, in telling order."""
    counts = np.diff(matrix.indptr)
    slots, depth = np.arange(max(int(counts.max(initial=0)), 1)), min(per_condition, max(int(counts.max(initial=0)), 1))
    stated = slots < counts[:, None]
    feature = np.zeros(stated.shape, dtype=np.int64)
    feature[stated] = matrix.indices
    fading = np.exp(-model.weights)
    # What is left of all probability when a feature is blanked, before it is made to sum to 1 again.
    left = np.take_along_axis(probabilities @ fading, feature, axis=1)
    found: list[tuple[Ints, Ints, Ints, Floats]] = []
    for rank in range(order.shape[1]):
        rows = np.flatnonzero(told[:, rank])
        if not len(rows):
            continue
        condition = order[rows, rank]
        own = probabilities[rows, condition][:, None]
        weighs = condition[:, None], feature[rows]
        others_after = np.maximum(left[rows] - own * fading[weighs], _TINY)
        change = model.weights[weighs] + np.log(others_after / np.maximum(1 - own, _TINY))
        change[~stated[rows]] = 0.0
        size = np.abs(change)
        best = np.argpartition(-size, depth - 1, axis=1)[:, :depth]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(size, best, axis=1), axis=1), axis=1)
        weight = np.take_along_axis(change, best, axis=1)
        shape = weight.shape
        place = np.broadcast_to(np.arange(depth) + rank * depth, shape)
        speaks = weight != 0
        found.append(
            (
                np.broadcast_to(rows[:, None] + first_row, shape)[speaks],
                np.take_along_axis(feature[rows], best, axis=1)[speaks],
                np.broadcast_to(condition[:, None], shape)[speaks] + place[speaks] * len(model.classes),
                weight[speaks],
            )
        )
    row, feat, coded, weight = (np.concatenate([part[i] for part in found]) for i in range(4))
    telling = np.lexsort((coded // len(model.classes), row))
    return row[telling], feat[telling], coded[telling] % len(model.classes), weight[telling]


def _as_lists(
    model: LockedModel, records: pl.DataFrame, row: Ints, feature: Ints, condition: Ints, weight: Floats
) -> pl.Series:
    column, answer = _as_stated(records, row, feature)
    structs = pa.StructArray.from_arrays(
        [
            pa.array(column, pa.string()),
            pa.array(answer, pa.string()),
            pa.array(model.classes).take(pa.array(condition)),
            pa.array(["against", "for"]).take(pa.array((weight > 0).astype(np.int64))),
            pa.array(weight),
        ],
        names=["column", "answer", "condition", "direction", "weight"],
    )
    starts = np.searchsorted(row, np.arange(records.height + 1)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(starts), structs)
    return pl.Series("reasons", pl.from_arrow(lists), dtype=REASON)


def _as_stated(records: pl.DataFrame, row: Ints, feature: Ints) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Column and answer as the record words them: the number that was written, the column that states a shared fact.

    A box that "none of these" cleared keeps its own column, with answer "0".
    """
    column = np.array([f.column for f in features()], dtype=object)[feature]
    answer = np.array([f.answer for f in features()], dtype=object)[feature]
    for number in set(feature_bins().numbers) & set(records.columns):
        at = np.flatnonzero(column == number)
        written = records[number].gather(row[at]).cast(pl.String).str.strip_suffix(".0")
        answer[at] = written.to_numpy()
    for leading, members in facts().items():
        same_as = feature_bins().same_as_box.items()
        boxes = [(source, choice) for source, same in same_as for choice, box in same.items() if box == leading]
        if len(members) == 1 and not boxes:
            continue
        at = np.flatnonzero(column == leading)
        yes = answer[at] == YES
        # From the last choice to the first, so that the leading column wins where several state the answer.
        for choice_column, choice in boxes:
            _take_over(records, row, at, choice_column, choice, yes, column, answer)
        for member in reversed(members):
            _take_over(records, row, at, member, None, yes, column, answer)
    return column, answer


def _take_over(
    records: pl.DataFrame,
    row: Ints,
    at: Ints,
    source: str,
    choice: str | None,
    yes: NDArray[np.bool_],
    column: NDArray[np.object_],
    answer: NDArray[np.object_],
) -> None:
    """Name ``source`` as the column wherever it states the answer; ``choice`` is set for a choice column."""
    if source not in records.columns:
        return
    given = records[source].gather(row[at])
    if choice is not None:
        states_it = (given == choice).fill_null(False).to_numpy() & yes
        answer[at[states_it]] = choice
    else:
        states_it = given.is_not_null().to_numpy() & (given.fill_null(False).to_numpy() == yes)
        answer[at[states_it]] = np.where(yes[states_it], YES, NO)
    column[at[states_it]] = source
