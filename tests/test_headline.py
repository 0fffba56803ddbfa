"""The headline: facts at a glance, and never a sensitive one."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.headline import IMAGING, SITES, STATED, headline, pain_sites, site_columns
from schemas.form import FREE_TEXT_COLUMN, questions
from tests.referral_records import mixed, one, records_of
from tests.rule_frames import DTYPES

EXAMPLE = {
    "age_years": 24,
    "sex": "female",
    "runner_level": "competitive",
    "side": "left",
    "pain_site__groin": 1,
    "duration_weeks": 3,
    "weight_bearing": "limp",
    "training__mileage_increase": 1,
    "imaging__xray": "normal",
}
SAID: list[tuple[dict[str, Any], str]] = [
    (EXAMPLE, "F 24, competitive, LEFT groin 3 weeks, limps, distance up, X-ray normal"),
    ({**EXAMPLE, "side": None}, "F 24, competitive, SIDE NOT STATED groin 3 weeks, limps, distance up, X-ray normal"),
    ({}, "AGE NOT STATED, sex not stated, SIDE NOT STATED hip"),
    ({"age_years": 50}, "50, sex not stated, SIDE NOT STATED hip"),
    ({"sex": "male"}, "M, AGE NOT STATED, SIDE NOT STATED hip"),
    ({"sex": "other", "age_years": 31, "runner_level": "none"}, "31, sex other, does not run, SIDE NOT STATED hip"),
    (
        {"age_years": 60, "sex": "male", "side": "both", "pain_site__hip_unspecified": 1, "weight_bearing": "cannot"},
        "M 60, BOTH SIDES hip, CANNOT WALK",
    ),
    (
        {"age_years": 60, "sex": "male", "side": "right", "pain_site__groin": 1, "pain_site__anterior_thigh": 1},
        "M 60, RIGHT groin + front of thigh",
    ),
    (
        {
            "age_years": 44,
            "sex": "female",
            "side": "right",
            "systemic__fever": 1,
            "systemic__chills": 1,
            "temperature_c": 38.6,
            "night_pain": 0,
            "imaging__xray": "none",
            "imaging__mri": "abnormal",
            "imaging__ultrasound": "result_unknown",
        },
        "F 44, RIGHT hip, fever, temperature 38.6, MRI ABNORMAL, ultrasound done with unknown result",
    ),
    ({"age_years": 44, "sex": "female", "side": "left", "temperature_c": 36.6}, "F 44, LEFT hip"),
]


@pytest.mark.parametrize(("answers", "line"), SAID)
def test_headlines(answers: dict[str, Any], line: str) -> None:
    assert one(answers)["headline"] == line


@pytest.mark.parametrize(
    ("weeks", "words"),
    [
        (0.3, " under a week"),
        (1.0, " 1 week"),
        (1.4, " 1 week"),
        (1.6, " 2 weeks"),
        (12.0, " 12 weeks"),
        (103.0, " 103 weeks"),
        (104.0, " 2 years"),
        (520.0, " 10 years"),
        (None, ""),
    ],
)
def test_how_long(weeks: float | None, words: str) -> None:
    frame = records_of([{"age_years": 30, "sex": "male", "side": "left", "duration_weeks": weeks}])
    assert frame.select(headline()).item() == f"M 30, LEFT hip{words}"


def test_what_the_headline_reads_is_not_sensitive() -> None:
    assert all(questions()[column].sensitivity == "ordinary" for column in [*STATED, *IMAGING, *site_columns()])
    assert set(SITES) <= set(site_columns())
    assert not any("," in words for words in SITES.values())


@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 2**32 - 1))
def test_a_sensitive_answer_never_changes_the_headline(seed: int) -> None:
    records, rng = mixed(100, seed), np.random.default_rng(seed)
    sensitive = [c for c, q in questions().items() if q.sensitivity == "sensitive" and c != FREE_TEXT_COLUMN]
    assert sensitive and all(questions()[c].type == "yesno" for c in sensitive)
    answers = (True, False, None)
    other = {c: [answers[place] for place in rng.integers(0, 3, records.height)] for c in sensitive}
    changed = records.with_columns(pl.Series(c, values, dtype=DTYPES["yesno"]) for c, values in other.items())
    assert changed.select(headline()).equals(records.select(headline()))


def test_pain_sites_in_the_order_of_the_form() -> None:
    records = records_of([{"pain_site__knee": 1, "pain_site__groin": 1, "pain_site__sacrum": 0}, {}])
    assert pain_sites(records).to_list() == [["groin", "knee"], []]
