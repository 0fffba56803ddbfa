"""Which stated findings speak for and against a condition, exactly as the model weighs them.

Belongs here: taking a probability apart. Does not belong here: wording for people.

The weight of a finding is the change of the condition's log-odds against all others that stating it made: the log-odds
as they are, less the log-odds with that answer blank. The model itself gives both, so the sign and the size of a weight
are what blanking the answer would show.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from models.decision_costs import decision_costs
from models.features import NO, YES, facts, feature_bins, feature_matrix, features
from models.figures import Floats
from models.model_file import LockedModel

Ints = NDArray[np.int64]

_CHUNK = 2048  # records taken apart at once: small enough for the processor's cache
_TINY = 1e-12
REASON = pl.List(
    pl.Struct(
        {"column": pl.String, "answer": pl.String, "condition": pl.String, "direction": pl.String, "weight": pl.Float64}
    )
)


def reasons(
    model: LockedModel,
    records: pl.DataFrame,
    probabilities: Floats,
    held: NDArray[np.bool_],
    top: int = 3,
    per_condition: int = 4,
    matrix: sparse.csr_array | None = None,
) -> pl.Series:
    """Findings for and against the likeliest conditions of each record, strongest first within a condition.

    Takes records, their ``probabilities`` and what cannot be excluded (``held``), both n x classes; explains the
    ``top`` likeliest conditions and every dangerous one that cannot be excluded, most probable condition first, by at
    most ``per_condition`` stated answers each. Gives a list of (column, answer, condition, direction "for" or
    "against", weight in log-odds) a record; the sign of weight agrees with direction. A fact that two columns carry
    is told once, under a column that states it. ``matrix``: the ``feature_matrix`` of the records where the caller
    has it.
    """
    if matrix is None:
        matrix = feature_matrix(records)
    order, told = _conditions_told(model, probabilities, held, top)
    # Records with as many stated answers together: a chunk is as wide as its fullest record.
    by_fullness = np.argsort(np.diff(matrix.indptr), kind="stable")
    by_fullness = by_fullness[np.diff(matrix.indptr)[by_fullness] > 0]
    chunks = [by_fullness[start : start + _CHUNK] for start in range(0, len(by_fullness), _CHUNK)]
    parts = [
        _strongest(model, matrix[chunk], probabilities[chunk], order[chunk], told[chunk], per_condition, chunk)
        for chunk in chunks
    ]
    if not parts:
        return pl.Series("reasons", [[] for _ in range(records.height)], dtype=REASON)
    row, feature, condition, place = (np.concatenate([part[i] for part in parts]) for i in range(4))
    weight = np.concatenate([part[4] for part in parts])
    telling = np.lexsort((place, row))
    return _as_lists(model, records, row[telling], feature[telling], condition[telling], weight[telling])


def _conditions_told(
    model: LockedModel, probabilities: Floats, held: NDArray[np.bool_], top: int
) -> tuple[Ints, NDArray[np.bool_]]:
    """Conditions of each record by falling probability, and which of them get explained, both n x classes."""
    dangerous = np.isin(model.classes, list(decision_costs().conditions))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    told = np.take_along_axis(held & dangerous, order, axis=1)
    told[:, :top] = True
    return order, told


def _strongest(
    model: LockedModel,
    matrix: sparse.csr_array,
    probabilities: Floats,
    order: Ints,
    told: NDArray[np.bool_],
    per_condition: int,
    numbers: Ints,
) -> tuple[Ints, Ints, Ints, Ints, Floats]:
    """Row numbers, features, conditions, places in telling order and weights of the strongest answers of one chunk."""
    counts = np.diff(matrix.indptr)
    width = max(int(counts.max(initial=0)), 1)
    depth = min(per_condition, width)
    stated = np.arange(width) < counts[:, None]
    feature = np.zeros(stated.shape, dtype=np.int64)
    feature[stated] = matrix.indices
    entry = np.zeros(stated.shape, dtype=np.int64)
    entry[stated] = np.arange(matrix.nnz)
    # One line a (record, condition told), the most probable condition of a record first.
    rows, rank = np.nonzero(told)
    condition = order[rows, rank]
    without = softmax(model.estimator.log_scores_without_each(matrix), axis=1)[entry[rows], condition[:, None]]
    own = probabilities[rows, condition][:, None]
    # By how much stating the answer multiplied the odds of the condition: 1 where it makes no difference.
    factor = _odds(own) / _odds(without)
    factor[~stated[rows]] = 1.0
    best = np.argpartition(-np.maximum(factor, 1 / factor), depth - 1, axis=1)[:, :depth]
    weight = np.log(np.take_along_axis(factor, best, axis=1))
    stepwise = np.argsort(-np.abs(weight), axis=1, kind="stable")
    best, weight = np.take_along_axis(best, stepwise, axis=1), np.take_along_axis(weight, stepwise, axis=1)
    speaks = weight != 0
    lines = np.broadcast_to(np.arange(len(rows))[:, None], weight.shape)[speaks]
    place = (rank[:, None] * depth + np.arange(depth))[speaks]
    found = np.take_along_axis(feature[rows], best, axis=1)[speaks]
    return numbers[rows][lines], found, condition[lines], place, weight[speaks]


def _odds(probability: Floats) -> Floats:
    return np.maximum(probability, _TINY) / np.maximum(1 - probability, _TINY)


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
