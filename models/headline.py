"""The headline of a referral: the facts at a glance, in the order a clinician reads them.

Belongs here: wording of stated facts. Never a sensitive answer (menstruation, pregnancy, drugs, eating, free text):
headlines are read aloud and printed.
"""

from __future__ import annotations

import polars as pl

from models.knowledge_files import lists_of
from schemas.contradictions import FEVER_C
from schemas.form import form

SEX = {"female": "F", "male": "M"}
SIDE = {"left": "LEFT", "right": "RIGHT", "both": "BOTH SIDES"}
WALKING = {
    "normal": "walks normally",
    "limp": "limps",
    "aid": "walks with a stick or crutch only",
    "cannot": "CANNOT WALK",
}
# Shorter than the form's words, and without a comma, which parts the facts of a headline.
SITES = {
    "pain_site__anterior_hip": "front of hip",
    "pain_site__lateral_hip": "outer hip",
    "pain_site__sacrum": "base of spine",
    "pain_site__low_back": "low back",
    "pain_site__iliac_crest": "top of hip bone",
    "pain_site__lower_abdomen": "lower abdomen",
    "pain_site__pubic": "pubic bone",
    "pain_site__anterior_thigh": "front of thigh",
    "pain_site__medial_thigh": "inner thigh",
    "pain_site__posterior_thigh": "back of thigh",
    "pain_site__lateral_thigh": "outer thigh",
    "pain_site__thigh_unspecified": "thigh",
    "pain_site__lateral_knee": "outer knee",
    "pain_site__lower_leg": "below knee",
    "pain_site__down_the_leg": "down the leg",
    "pain_site__foot_ankle": "foot or ankle",
}
STATED = {
    "systemic__very_unwell": "VERY UNWELL",
    "systemic__fever": "fever",
    "neuro__saddle_numbness": "saddle numbness",
    "neuro__bladder_bowel": "bladder or bowel change",
    "night_pain": "wakes at night",
    "rest_pain": "pain at rest",
    "training__mileage_increase": "distance up",
    "training__intensity_increase": "speed work up",
    "history__prior_stress_fracture": "earlier stress fracture",
    "history__cancer": "cancer now or before",
}
IMAGING = {"imaging__xray": "X-ray", "imaging__mri": "MRI", "imaging__ultrasound": "ultrasound"}
RESULT = {
    "awaited": "awaited",
    "normal": "normal",
    "abnormal": "ABNORMAL",
    "result_unknown": "done with unknown result",
}
NO_SITE = "hip"  # all that is known where no place, or only the hip, is stated
WEEKS_A_YEAR = 52


def site_columns() -> list[str]:
    """The columns that say where it hurts."""
    return [q.column for q in form() if q.box_group == "pain_site"]


def _name(column: str) -> str:
    return column.partition("__")[2]


def pain_sites(records: pl.DataFrame) -> pl.Series:
    """List(String) of the stated sites, by the name after ``pain_site__``, in the order of the form."""
    stated = records.select(pl.col(column).fill_null(False) for column in site_columns()).to_numpy()
    return lists_of(stated, [_name(column) for column in site_columns()]).alias("pain_sites")


def headline() -> pl.Expr:
    """One line of stated facts, such as "F 24, competitive, LEFT groin 3 weeks, limps, distance up, X-ray normal"."""
    level = pl.col("runner_level").replace({"none": "does not run"})
    parts = [
        *_who(),
        level,
        _where(),
        _words("weight_bearing", WALKING),
        *(pl.when(pl.col(column)).then(pl.lit(words)) for column, words in STATED.items()),
        pl.when(pl.col("temperature_c") >= FEVER_C).then(pl.format("temperature {}", "temperature_c")),
        *(pl.lit(f"{name} ") + _words(column, RESULT) for column, name in IMAGING.items()),
    ]
    return pl.concat_str(parts, separator=", ", ignore_nulls=True).alias("headline")


def _words(column: str, words: dict[str, str]) -> pl.Expr:
    """The words for an answer; null where it is blank or has none."""
    return pl.col(column).replace_strict(words, default=None, return_dtype=pl.String)


def _who() -> list[pl.Expr]:
    age, sex = pl.col("age_years").cast(pl.String), _words("sex", SEX)
    known = pl.concat_str([sex, age], separator=" ", ignore_nulls=True)
    return [
        pl.when(known != "").then(known),
        pl.when(age.is_null()).then(pl.lit("AGE NOT STATED")),
        pl.when(pl.col("sex").is_null()).then(pl.lit("sex not stated")).when(sex.is_null()).then(pl.lit("sex other")),
    ]


def _where() -> pl.Expr:
    sites = pl.concat_str(
        [
            pl.when(pl.col(column)).then(pl.lit(SITES.get(column, _name(column))))
            for column in site_columns()
            if _name(column) != "hip_unspecified"
        ],
        separator=" + ",
        ignore_nulls=True,
    )
    side = _words("side", SIDE).fill_null("SIDE NOT STATED")
    place = pl.when(sites != "").then(sites).otherwise(pl.lit(NO_SITE))
    return pl.concat_str([side, place, _duration()], separator=" ", ignore_nulls=True)


def _duration() -> pl.Expr:
    weeks = pl.col("duration_weeks")
    whole = weeks.round(0).cast(pl.Int64)
    years = (weeks / WEEKS_A_YEAR).round(0).cast(pl.Int64)
    return (
        pl.when(weeks < 1)
        .then(pl.lit("under a week"))
        .when(whole == 1)
        .then(pl.lit("1 week"))
        .when(weeks < 2 * WEEKS_A_YEAR)
        .then(whole.cast(pl.String) + " weeks")
        .when(weeks.is_not_null())
        .then(years.cast(pl.String) + " years")
    )
