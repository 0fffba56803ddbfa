"""Every rule on records that fire it, that do not, and that leave it unable to tell (``rule_cases.yaml``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from models.rules import CANNOT_TELL, NO, NOT_ASKED, YES, evaluate, load_rules, rule_tiers
from schemas.form import answer_columns, questions
from schemas.tiers import tiers
from tests.rule_frames import frame_of

CASES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("rule_cases.yaml").read_text("utf-8"))
RULES = {rule.id: rule for rule in load_rules().rules}
UNSURE = {name: case for name, case in CASES.items() if "cannot_tell" in case}


def _laid_over(case: dict[str, Any]) -> dict[str, Any]:
    return {**case["fires"], **case["does_not"]}


def _blanked(case: dict[str, Any]) -> dict[str, Any]:
    kept = {column: answer for column, answer in case["fires"].items() if column not in case["cannot_tell"]}
    return {**kept, **case.get("beside", {})}


def _results(answers: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    frame = frame_of(answers)
    results = evaluate(frame, load_rules())
    return results.status, results.missing, rule_tiers(results, load_rules(), frame)


def test_every_rule_has_its_cases_and_every_case_its_rule() -> None:
    assert set(CASES) == set(RULES)
    for name, case in CASES.items():
        assert case["fires"] and case["does_not"], name
        assert ("cannot_tell" in case) != ("never" in case), name
        assert case.get("missing" if "cannot_tell" in case else "never"), name


def test_every_rule_that_never_doubts_has_one_conjunct_only() -> None:
    assert {name for name in CASES if name not in UNSURE} == {r.id for r in RULES.values() if len(r.conjuncts) == 1}


@pytest.mark.parametrize("place,name", list(enumerate(CASES)))
def test_rule_fires_and_its_tier_is_respected(place: int, name: str, fired: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    status, given = fired
    assert status[name][place] == YES
    rule = RULES[name]
    if rule.tier is None:
        assert given["raised_by"][place] == name
        return
    assert name in given["basis"][place].to_list()
    assert tiers()[given["tier"][place]].rank <= tiers()[rule.tier].rank
    assert given["clock_hours"][place] <= min(tiers()[rule.tier].see_by_hours, rule.clock_hours or 1e9)


@pytest.fixture(scope="module")
def fired() -> tuple[pl.DataFrame, pl.DataFrame]:
    status, _, given = _results([case["fires"] for case in CASES.values()])
    return status, given


def test_rules_do_not_fire_where_a_conjunct_is_stated_false() -> None:
    status, _, _ = _results([_laid_over(case) for case in CASES.values()])
    assert {name: status[name][place] for place, name in enumerate(CASES)} == dict.fromkeys(CASES, NO)


def test_rules_cannot_tell_where_a_deciding_answer_is_blank_and_name_it() -> None:
    status, missing, _ = _results([_blanked(case) for case in UNSURE.values()])
    assert {n: status[n][i] for i, n in enumerate(UNSURE)} == dict.fromkeys(UNSURE, CANNOT_TELL)
    assert {n: missing[n][i].to_list() for i, n in enumerate(UNSURE)} == {n: c["missing"] for n, c in UNSURE.items()}


def test_a_blank_form_fires_nothing_and_only_age_is_asked() -> None:
    status, missing, given = _results([{}])
    for name in RULES:
        expected = CANNOT_TELL if name in ("child", "young_person") else NOT_ASKED
        assert status[name][0] == expected, name
        assert missing[name][0].to_list() == (["age_years"] if expected == CANNOT_TELL else [])
    assert given["tier"][0] is None and given["clock_hours"][0] is None and given["basis"][0].to_list() == []


def test_missing_answers_are_ones_the_form_asks_for_in_its_order() -> None:
    _, missing, _ = _results([_blanked(case) for case in UNSURE.values()])
    order = list(answer_columns())
    for name in missing.columns:
        for asked in missing[name].to_list():
            assert asked == sorted(asked, key=order.index)
            assert all(questions()[column].ask == "ask" for column in asked)
