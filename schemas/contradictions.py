"""Answers of one record that contradict each other: one code, one expression, one column to look at.

Belongs here: the contradictions the contract warns of. A record that contradicts itself goes on and is reviewed;
of two answers that contradict, the more worrying counts (``models`` does the counting). Does not belong here:
limits of single columns (``intake_form.csv``).
"""

from __future__ import annotations

from functools import cache

import polars as pl

from schemas.form import NONE_OF_THESE, form

FEVER_C = 38.0
RAISED_CRP_MG_L = 20.0  # the cut-off of Caird 2006 (children); used here only to spot a contradiction
RAISED_WBC_10E9_L = 12.0  # the cut-off of Kocher 1999
WEEKS_A_YEAR = 52.2


def _boxes(group: str) -> list[str]:
    return [q.column for q in form() if q.box_group == group and not q.column.endswith(NONE_OF_THESE)]


def _none_and_some() -> pl.Expr:
    groups = [q.box_group for q in form() if q.column.endswith(f"__{NONE_OF_THESE}") and q.box_group]
    return pl.any_horizontal(
        [pl.col(f"{group}__{NONE_OF_THESE}") & pl.any_horizontal(_boxes(group)) for group in groups]
    )


def _sex_disagrees() -> pl.Expr:
    female_only = ["history__menstrual_irregularity", "history__possible_pregnancy", "history__pregnant"]
    male = (pl.col("sex") == "male") & pl.any_horizontal([*female_only, "history__postpartum"])
    return male | ((pl.col("sex") == "female") & pl.col("screen__testicular_pain"))


@cache
def contradictions() -> dict[str, pl.Expr]:
    """Expressions over typed answers by warning code: true where a record contradicts itself, else null or false."""
    col = pl.col
    return {
        "none_and_some": _none_and_some(),
        "sides_disagree": (col("side").is_in(["left", "right"])) & (col("worse_side") != col("side")),
        "worst_below_now": col("pain_worst") < col("pain_now"),
        "fever_disagrees": ~col("systemic__fever") & (col("temperature_c") >= FEVER_C),
        "pregnancy_disagrees": col("history__pregnant") & ~col("history__possible_pregnancy"),
        "sex_disagrees": _sex_disagrees(),
        "surgery_disagrees": col("history__hip_implant") & ~col("history__prior_hip_surgery"),
        "lump_disagrees": ~col("local__lump")
        & pl.any_horizontal("local__lump_growing", "local__lump_over_5cm", "local__painful_hard_lump"),
        "walking_disagrees": (col("weight_bearing") == "cannot") & (col("running_now") == "as_usual"),
        "fall_disagrees": col("mechanism__fall") & ~col("history__recent_fall"),
        "relief_disagrees": col("relief__none") & pl.any_horizontal("relief__rest", "relief__nsaid", "relief__lying"),
        "constant_disagrees": col("behaviour__constant") & col("behaviour__comes_and_goes"),
        "laboratory_disagrees": ((col("crp_mg_l") >= RAISED_CRP_MG_L) & ~col("lab__raised_crp_esr"))
        | ((col("wbc_10e9_l") > RAISED_WBC_10E9_L) & ~col("lab__raised_wbc")),
        "longer_than_life": (col("years_running") > col("age_years") + 1)
        | (col("duration_weeks") > (col("age_years") + 1) * WEEKS_A_YEAR),
    }
