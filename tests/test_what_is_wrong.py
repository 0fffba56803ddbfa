"""Every refusal in plain words: what is wrong, what is allowed, by which source, how to mend it; never a value."""

from __future__ import annotations

import pytest

from schemas.file_limits import file_limits
from schemas.form import form
from schemas.limits import limits
from schemas.problems import problems
from schemas.what_is_wrong import explained


def test_every_range_of_the_form_has_a_source_and_no_other() -> None:
    of_form = {(q.column, "allowed"): q.allowed for q in form() if q.allowed_range}
    of_form |= {(q.column, "plausible"): q.plausible for q in form() if q.plausible_range}
    assert {key: limit.bounds for key, limit in limits().items()} == of_form
    assert all(limit.source and limit.said for limit in limits().values())


def test_a_limit_that_nobody_signed_says_so_beside_the_failure() -> None:
    said = explained("outside_allowed", "height_cm")
    assert said.allowed == "50 to 260 cm"
    assert "not yet signed by a clinician" in said.source
    assert explained("implausible", "height_cm").allowed == "120 to 215 cm"
    assert explained("outside_allowed", "pain_now").allowed == "whole number 0 to 10"
    assert "signed" not in explained("outside_allowed", "pain_now").source


CASES = [
    ("not_a_choice", "sex", "female, male, other"),
    ("not_yes_or_no", "systemic__fever", "1, 0"),
    ("bad_key", "record_id", "1-64 of A-Z a-z 0-9 . _ -"),
    ("cell_count", None, ""),
]


@pytest.mark.parametrize(("code", "column", "allowed"), CASES)
def test_what_is_allowed_in_a_column_stands_beside_its_code(code: str, column: str | None, allowed: str) -> None:
    said = explained(code, column)
    assert said.allowed == allowed
    assert said.sentence == problems()[code].sentence
    assert said.mend in said.in_full


def test_outcome_and_decision_files_are_explained_by_their_own_forms() -> None:
    assert "imaging" in explained("not_a_choice", "found_by", "outcome").allowed
    assert "booked" in explained("not_a_choice", "status", "decision").allowed
    assert explained("conflicting_version", None, "decision").sentence


def test_every_limit_on_files_is_a_positive_number() -> None:
    assert file_limits()
    assert all(value > 0 for value in file_limits().values())
