"""Records for tests: from answers as they stand on a form (1, 0, words, numbers) to the frame that models take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from schemas.form import answer_columns, questions

DTYPES: dict[str, type[pl.DataType]] = {
    "yesno": pl.Boolean,
    "choice": pl.String,
    "integer": pl.Int32,
    "number": pl.Float64,
}


def frame_of(answers: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """One row a mapping of answers, with every answer column of the form; what a mapping leaves out is blank."""
    for stated in answers:
        assert set(stated) <= set(answer_columns()), sorted(set(stated) - set(answer_columns()))
    return pl.DataFrame(
        {
            column: pl.Series(
                [_typed(questions()[column].type, stated.get(column)) for stated in answers],
                dtype=DTYPES[questions()[column].type],
            )
            for column in answer_columns()
        }
    )


def _typed(kind: str, answer: Any) -> Any:
    if answer is None:
        return None
    return bool(answer) if kind == "yesno" else float(answer) if kind == "number" else answer
