"""Which outcomes may teach the model, and how much each counts.

Belongs here: the choice and the weight of outcomes, and the join to the records they belong to. Does not belong here:
what is learnt from them (``models.outcome_learning``), what an outcome row may hold (``schemas.outcomes``).
"""

from __future__ import annotations

import polars as pl

from models.outcome_settings import learning_settings

_KEY = ["clinic_id", "record_id"]


def teaching_outcomes(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The outcomes that may teach, with the column ``weight`` (above 0, at most 1); at most one a record.

    Takes accepted outcomes (``schemas.outcomes.outcome_schema``). Of several outcomes of one record the one written
    down last speaks for all: a correction that withdraws a condition withdraws its teaching. It may teach if the person
    came, a condition is named, a way of finding it is stated and is not ``not_confirmed``, and it was written down
    within ``latest_weeks`` of the form. The weight is that of ``found_by`` times that of ``differential_seen_before``
    (blank counts as unknown).

    Harm never takes an outcome out and never changes its weight: without the people who came to harm, the model would
    learn from everyone but those whom triage missed. Neither harm nor ``tier_in_hindsight`` is a label: they judge the
    referral and not the condition. Somebody who did not come says nothing about a condition. ``also_confirmed`` is
    not learnt from, because a record has one label.
    """
    settings = learning_settings()
    latest = pl.duration(hours=settings.latest_weeks * 7 * 24)
    seen = pl.col("differential_seen_before").fill_null("unknown")
    last = outcomes.sort("recorded_at", maintain_order=True).unique(_KEY, keep="last", maintain_order=True)
    return last.filter(
        pl.col("attended"),
        pl.col("confirmed_condition").is_not_null(),
        pl.col("found_by").is_in(list(settings.found_by)),
        pl.col("recorded_at") <= pl.col("submitted_at") + latest,
    ).with_columns(
        (
            pl.col("found_by").replace_strict(settings.found_by, return_dtype=pl.Float64)
            * seen.replace_strict(settings.seen_before, return_dtype=pl.Float64)
        ).alias("weight")
    )


def teaching_records(records: pl.DataFrame, outcomes: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that have an outcome that may teach, and (same rows) their ``confirmed_condition`` and ``weight``.

    ``records``: as in ``schemas.records.record_schema``; the version of a record that the outcome names by its
    ``submitted_at`` is the one that teaches. Outcomes whose record is not among them are left out.
    """
    taught = teaching_outcomes(outcomes).select(*_KEY, "submitted_at", "confirmed_condition", "weight")
    found = records.join(taught, on=[*_KEY, "submitted_at"], how="inner", maintain_order="left")
    return found.select(records.columns), found.select("confirmed_condition", "weight")
