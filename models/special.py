"""Circumstances that change how a record is read: age groups, pregnancy, safeguarding, imaging already done.

The safeguarding combinations are proposals (judgement, not yet signed by a clinician); for clinicians only.
"""

from __future__ import annotations

import polars as pl

from models.imaging import DONE, MODALITIES

CHILD_BELOW, ADULT_FROM = 16, 18  # product page, section 5: rules decide under 16; 16-17 are never self-care


def is_child() -> pl.Expr:
    """True where the stated age is under 16; false where it is not or is not stated."""
    return (pl.col("age_years") < CHILD_BELOW).fill_null(False)


def is_young_person() -> pl.Expr:
    """True where the stated age is 16 or 17."""
    return pl.col("age_years").is_between(CHILD_BELOW, ADULT_FROM, closed="left").fill_null(False)


def pregnancy_possible() -> pl.Expr:
    """True where pregnancy is stated or stated as possible."""
    return (pl.col("history__pregnant") | pl.col("history__possible_pregnancy")).fill_null(False)


def _imaged() -> pl.Expr:
    return pl.any_horizontal(pl.col(column).is_in(DONE) for column in MODALITIES).fill_null(False)


def _safeguarding() -> pl.Expr:
    minor = (pl.col("age_years") < ADULT_FROM).fill_null(False)
    pregnancy = pregnancy_possible() | pl.col("history__postpartum").fill_null(False)
    substances = (pl.col("history__injecting_drugs") | pl.col("history__alcohol_excess")).fill_null(False)
    return (is_child() & pregnancy) | (minor & substances)


def special() -> pl.Expr:
    """List(String) of the circumstances that hold: child, young_person, pregnancy, safeguarding_review, imaged."""
    marks = {
        "child": is_child(),
        "young_person": is_young_person(),
        "pregnancy": pregnancy_possible(),
        "safeguarding_review": _safeguarding(),
        "imaged": _imaged(),
    }
    return (
        pl.concat_list([pl.when(mark).then(pl.lit(name)) for name, mark in marks.items()])
        .list.drop_nulls()
        .alias("special")
    )
