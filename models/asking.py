"""What to ask next: the missing facts that could change the tier or a danger most, and by when somebody should phone.

Belongs here: ranking the columns that the rules miss, and behind them those that would tell the model most. A question
stands only where the form may ask it and the person's sex and age allow it: the hop, fulcrum and snap tests are never
asked for. Does not belong here: what an answer is expected to change (``models.expected_change``).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.asked_of_whom import applies, is_limited
from models.rule_files import Rule, RuleSet
from models.rules import CANNOT_TELL, RuleResults
from models.wording import rule_in_a_sentence
from schemas.form import questions
from schemas.tiers import tiers

QUESTIONS = 5
ASK_WITHIN_HOURS = {"emergency": 24.0, "same_day": 72.0}  # judgement; not yet signed by a clinician
THIN_WITHIN_HOURS = 168.0  # a record without an age, or with hardly an answer: judgement, not yet signed
AGE_WHY = "the rules for children need it, and it weighs in almost every condition"
ASKED = pl.List(pl.Struct({"column": pl.String, "question": pl.String, "why": pl.String}))


def questions_to_ask(
    records: pl.DataFrame, results: RuleResults, ruleset: RuleSet, tier: pl.Series, telling: pl.DataFrame
) -> pl.Series:
    """At most five (column, question, why) a record, the most useful first; List(Struct), empty where nothing helps.

    First the age where it is blank (product page, section 5). Then every fact that an emergency or same-day rule waits
    for which is more urgent than ``tier`` (String, the final one): such a rule has a core finding stated, so its answer
    is the most likely to change the tier. These stand by the tier of the most urgent rule that waits for them, then by
    how few facts it still lacks, then by how many rules wait. Behind them the facts of ``telling``
    (``models.expected_change.expected_changes``): by the chance that the answer raises the tier, then by the expected
    change of the dangers.
    """
    waits = [
        waiting
        for rule in ruleset.rules
        if rule.tier in ASK_WITHIN_HOURS and (waiting := _waits(records, results, rule, tier)) is not None
    ]
    no_age = pl.DataFrame({"row": records["age_years"].is_null().arg_true().cast(pl.UInt32)}).select(
        "row", column=pl.lit("age_years"), lacks=pl.lit(1, pl.UInt32), rank=pl.lit(-1, pl.Int64), why=pl.lit(AGE_WHY)
    )
    told = telling.select("row", "column", lacks=pl.lit(0, pl.UInt32), rank=pl.lit(len(tiers()), pl.Int64), why="why")
    worth = telling.select("row", "column", "chance", "change")
    text = {column: question.question for column, question in questions().items()}
    place = {column: number for number, column in enumerate(questions())}
    ranked = (
        pl.concat([no_age, *waits, told])
        .sort("rank", "lacks", maintain_order=True)
        .group_by("row", "column", maintain_order=True)
        .agg(pl.col("rank", "lacks", "why").first(), pl.len().cast(pl.Int64).neg().alias("rules"))
        .join(worth, on=["row", "column"], how="left")
        .with_columns(pl.col("column").replace_strict(place, return_dtype=pl.Int64).alias("place"))
        .with_columns(-pl.col("chance", "change").fill_null(0.0))
        .sort("row", "rank", "lacks", "rules", "chance", "change", "place")
        .with_columns(pl.col("column").replace_strict(text, return_dtype=pl.String).alias("question"))
        .group_by("row", maintain_order=True)
        .agg(pl.struct("column", "question", "why").head(QUESTIONS).alias("asked"))
    )
    rows = pl.DataFrame({"row": pl.Series(range(records.height), dtype=pl.UInt32)})
    asked = rows.join(ranked, on="row", how="left", maintain_order="left")["asked"]
    return pl.DataFrame({"asked": asked}).select(pl.coalesce("asked", pl.lit([], ASKED)))["asked"]


def _waits(records: pl.DataFrame, results: RuleResults, rule: Rule, tier: pl.Series) -> pl.DataFrame | None:
    """(row, column, lacks, rank, why) for every fact that ``rule`` waits for; None where it waits for none."""
    rows = np.flatnonzero(_in_doubt(results, rule, tier)).astype(np.uint32)
    if not rows.size:
        return None
    why = f"settles the {str(rule.tier).replace('_', '-')} rule: {rule_in_a_sentence(rule.text)}"
    waiting = pl.DataFrame({"row": rows, "column": results.missing[rule.id].gather(rows)})
    person = records[rows].select("sex", "age_years").with_columns(pl.Series("row", rows))
    limited = [column for column in sorted(set(waiting["column"].explode().drop_nulls())) if is_limited(column)]
    nobody = pl.DataFrame(schema={"row": pl.UInt32, "column": pl.String})
    not_for = [person.filter(~applies(column)).select("row", column=pl.lit(column)) for column in limited]
    return (
        waiting.with_columns(pl.col("column").list.len().alias("lacks"))
        .explode("column")
        .drop_nulls("column")
        .join(pl.concat([nobody, *not_for]), on=["row", "column"], how="anti")
        .with_columns(pl.lit(_rank(rule), pl.Int64).alias("rank"), pl.lit(why).alias("why"))
    )


def _in_doubt(results: RuleResults, rule: Rule, tier: pl.Series) -> NDArray[np.bool_]:
    """Where the rule cannot tell and would make the tier more urgent if it fired."""
    less_urgent = [name for name, other in tiers().items() if other.rank > _rank(rule)]
    return np.asarray((results.status[rule.id] == CANNOT_TELL).to_numpy() & tier.is_in(less_urgent).to_numpy())


def _rank(rule: Rule) -> int:
    return tiers()[str(rule.tier)].rank


def ask_within_hours(
    records: pl.DataFrame, results: RuleResults, ruleset: RuleSet, too_thin: NDArray[np.bool_], tier: pl.Series
) -> pl.Series:
    """Hours from arrival within which somebody should phone to complete the record; null where nothing presses.

    24 where an emergency rule waits that would make ``tier`` more urgent, 72 for a same-day rule, a week where hardly
    anything (``too_thin``) or no age is stated, unless the person is to be seen before that anyway.
    """
    later = [name for name, other in tiers().items() if other.see_by_hours > THIN_WITHIN_HOURS]
    thin = (too_thin | records["age_years"].is_null().to_numpy()) & tier.is_in(later).to_numpy()
    hours = np.where(thin, THIN_WITHIN_HOURS, np.inf)
    for rule in ruleset.rules:
        if rule.tier in ASK_WITHIN_HOURS:
            waits = _in_doubt(results, rule, tier)
            hours[waits] = np.minimum(hours[waits], ASK_WITHIN_HOURS[rule.tier])
    return pl.Series("hours", hours).replace(np.inf, None)
