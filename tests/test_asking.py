"""What to ask next, and by when somebody should phone."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.asked_of_whom import is_limited
from models.asking import AGE_WHY, QUESTIONS
from models.rules import CANNOT_TELL, load_rules
from schemas.form import questions
from schemas.tiers import tiers
from tests.referral_records import RANK, hours_after_arrival, mixed, one, scored

FEVER = {"age_years": 40, "systemic__fever": 1}
FULL = {
    "age_years": 40,
    "pain_site__lateral_hip": 1,
    "weight_bearing": "normal",
    "aggravated__lying_on_side": 1,
    "exam__tender_greater_trochanter": 1,
    "duration_weeks": 20,
}

# What the rule for a slipped epiphysis would otherwise wait for.
KNEE_AND_BODY = {
    "weight_kg": 60,
    "height_cm": 170,
    "pain_site__knee": 0,
    "exam__limited_internal_rotation": 0,
    "exam__obligate_external_rotation": 0,
    "behaviour__limp_after_run": 0,
}


@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 2**32 - 1))
def test_what_may_be_asked(seed: int) -> None:
    rules = {rule.id: rule for rule in load_rules().rules}
    records = mixed(200, seed)
    for row, stated in zip(scored(records).iter_rows(named=True), records.iter_rows(named=True), strict=True):
        asked = row["questions_to_ask"]
        columns = [question["column"] for question in asked]
        assert len(columns) == len(set(columns)) <= QUESTIONS
        for question in asked:
            assert questions()[question["column"]].ask == "ask"  # never the hop, the fulcrum or the snap
            assert question["question"] == questions()[question["column"]].question
            assert stated[question["column"]] is None
        waits = {
            column
            for entry in row["rule_status"]
            if entry["result"] == CANNOT_TELL and RANK[str(rules[entry["id"]].tier)] < RANK[row["tier"]]
            for column in entry["missing"]
        }
        others = [question for question in asked if question["column"] not in waits | {"age_years"}]
        assert all("could raise the tier" in q["why"] or "which is not excluded" in q["why"] for q in others)
        assert asked[len(asked) - len(others) :] == others  # what a rule waits for comes first
        assert (columns[:1] == ["age_years"]) == (stated["age_years"] is None)
        person = {c for c in waits if is_limited(c)}  # may be put to others
        assert len(columns) == QUESTIONS or waits - person <= set(columns)
        assert (row["ask_by"] is not None) or not (waits and row["tier"] != "emergency")


def test_the_most_urgent_rule_comes_first_and_says_why() -> None:
    asked = one({**FULL, "history__cancer": 1, "local__warmth_redness": 1, "age_years": None})["questions_to_ask"]
    assert asked[0] == {"column": "age_years", "question": "Age at submission", "why": AGE_WHY}
    assert asked[1]["why"].startswith("settles the emergency rule: ")
    fever = one(FEVER)["questions_to_ask"]
    whys = {question["column"]: question["why"] for question in fever}
    assert whys["systemic__unwell"] == (
        "settles the emergency rule: an emergency: painful hip with fever, and feeling ill with it"
    )


def test_an_emergency_is_not_kept_on_the_telephone() -> None:
    row = one({**FEVER, "systemic__unwell": 1})
    assert row["tier"] == "emergency" and row["questions_to_ask"] == [] and row["ask_by"] is None


ASK_BY: list[tuple[dict[str, Any], float | None]] = [
    (FEVER, 24.0),  # emergency rules wait
    ({**FULL, "local__warmth_redness": 1, "systemic__none_of_these": 1}, 72.0),  # a same-day rule waits
    (FULL, None),
    ({**FULL, "age_years": None}, 72.0),  # a rule for children waits
    ({**FULL, "age_years": None, **KNEE_AND_BODY}, 168.0),
    ({"age_years": 40}, 168.0),  # hardly an answer
    ({"age_years": 40, "neuro__saddle_numbness": 1}, None),  # an emergency: seen, not asked
]


@pytest.mark.parametrize(("answers", "hours"), ASK_BY)
def test_ask_by(answers: dict[str, Any], hours: float | None) -> None:
    assert hours_after_arrival(one(answers)) == hours


@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 2**32 - 1))
def test_nobody_is_to_be_phoned_later_than_seen_for_want_of_answers(seed: int) -> None:
    rows = scored(mixed(200, seed))
    late = (pl.col("ask_by") - pl.col("received_at")).dt.total_hours() == 168
    assert (rows.filter(late)["tier"].replace_strict({t.id: t.see_by_hours for t in tiers().values()}) > 168).all()
