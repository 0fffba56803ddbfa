"""Records and scores for the tests of the referral function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from models.basis import Basis, load_basis
from models.catalogue import load_catalogue
from models.cohort import generate
from models.model_file import default_locked_folder
from models.red_flags import red_flag_findings
from models.referral import referral_rows
from schemas.form import NONE_OF_THESE, answer_columns, questions
from schemas.records import record_schema
from schemas.tiers import tiers
from tests.rule_frames import DTYPES, frame_of

SCORED_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
RECEIVED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
RANK = {tier: number for number, tier in enumerate(tiers())}
WARNED = ["implausible", "sides_disagree"]


@cache
def basis() -> Basis:
    """This release's knowledge with its locked model."""
    return load_basis(default_locked_folder())


@cache
def rules_only() -> Basis:
    """The same without a model."""
    return replace(basis(), model=None, model_refusal="The model folder holds no manifest.")


def records_of(answers: pl.DataFrame | Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Records of ``record_schema`` from answers; keys and times are filled in."""
    frame = answers if isinstance(answers, pl.DataFrame) else frame_of(answers)
    ids = pl.Series([f"r{number:05d}" for number in range(frame.height)], dtype=pl.String)
    filled = frame.with_columns(
        ids.alias("record_id"),
        ids.alias("intake_hash"),
        pl.lit("north").alias("clinic_id"),
        pl.lit(RECEIVED_AT, pl.Datetime("us", "UTC")).alias("submitted_at"),
        pl.lit(RECEIVED_AT, pl.Datetime("us", "UTC")).alias("received_at"),
        pl.lit("sample").alias("data_kind"),
        pl.lit(False).alias("has_notes"),
        *([] if "warnings" in frame.columns else [pl.lit([], pl.List(pl.String)).alias("warnings")]),
    )
    empty = pl.DataFrame(pl.from_arrow(record_schema().empty_table()))
    return pl.concat([empty, filled], how="diagonal").select(record_schema().names)


def generated(n: int, seed: int) -> pl.DataFrame:
    """Records as the training cohort has them."""
    return records_of(generate(load_catalogue(), n, seed).records.select(answer_columns()))


def scattered(n: int, seed: int) -> pl.DataFrame:
    """Records of any answers: few findings, many blanks, every fourth a child or young person, some with warnings."""
    rng = np.random.default_rng(seed)
    sparse = rng.uniform(0.3, 0.98, n)
    columns: dict[str, pl.Series] = {}
    for column in answer_columns():
        question = questions()[column]
        if question.type == "yesno":
            values: Any = rng.random(n) < 0.08
        elif question.type == "choice":
            values = rng.choice(np.array(question.choices), n)
        else:
            low, high = question.plausible_range or question.allowed_range or (0.0, 1.0)
            values = np.round(rng.uniform(low, high, n))
        if column == "age_years":
            values = np.where(rng.random(n) < 0.25, rng.integers(8, 18, n), values)
        typed = pl.Series(column, values).cast(DTYPES[question.type])
        columns[column] = typed.set(pl.Series(rng.random(n) < sparse), None)
    warned = rng.random(n) < 0.05
    columns["warnings"] = pl.Series([WARNED if mark else [] for mark in warned], dtype=pl.List(pl.String))
    return records_of(pl.DataFrame(columns))


def mixed(n: int, seed: int) -> pl.DataFrame:
    """Half generated, half scattered records, with keys of their own."""
    return records_of(pl.concat([generated(n - n // 2, seed), scattered(n // 2, seed)]))


def scored(records: pl.DataFrame, by: Basis | None = None, for_rules: pl.DataFrame | None = None) -> pl.DataFrame:
    """The referral rows of ``records``."""
    table = records.to_arrow().cast(record_schema().with_metadata(None)) if _whole(records) else records.to_arrow()
    carried = table if for_rules is None else for_rules.to_arrow()
    return pl.DataFrame(pl.from_arrow(referral_rows(table, carried, by or basis(), scored_at=SCORED_AT)))


def _whole(records: pl.DataFrame) -> bool:
    return records.columns == record_schema().names


def one(answers: Mapping[str, Any], by: Basis | None = None) -> dict[str, Any]:
    """The referral of one record."""
    return scored(records_of([answers]), by).row(0, named=True)


def ranks(rows: pl.DataFrame) -> np.ndarray:
    """The tiers of the rows as numbers, 0 for emergency."""
    return rows["tier"].replace_strict(RANK, return_dtype=pl.Int64).to_numpy()


def with_one_answer(
    records: pl.DataFrame, columns: Sequence[str], seed: int, old: tuple[bool | None, ...], new: bool | None
) -> pl.DataFrame:
    """``records`` with one chosen column each set to ``new`` where it holds one of ``old``.

    Left alone where "none of these" of the column's group is stated: then one answer more changes all the others.
    """
    chosen = pl.Series(np.random.default_rng(seed).choice(np.array(columns), records.height))
    changed = []
    for column in dict.fromkeys(columns):
        none = f"{questions()[column].box_group}__{NONE_OF_THESE}"
        open_group = ~pl.col(none).fill_null(False) if none in records.columns else pl.lit(True)
        holds = pl.any_horizontal(pl.col(column).eq_missing(pl.lit(answer, pl.Boolean)) for answer in old)
        here = (chosen == column) & holds & open_group
        changed.append(pl.when(here).then(pl.lit(new, pl.Boolean)).otherwise(column).alias(column))
    return records.with_columns(changed)


def red_flag_columns() -> list[str]:
    """The yes/no columns that may only ever make a record more urgent."""
    return list(red_flag_findings().columns)


def hours_after_arrival(row: Mapping[str, Any]) -> float | None:
    """Hours from arrival to ``ask_by``."""
    return None if row["ask_by"] is None else (row["ask_by"] - row["received_at"]) / timedelta(hours=1)
