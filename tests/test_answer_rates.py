"""A red-flag question that nobody ever answers yes is a broken form or mapping, and somebody is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from schemas.form import red_flag_questions
from warehouse import checkup, intake, sources
from warehouse.answer_rates import RECORDS_WITHOUT_ONE, answer_rates, never_stated
from warehouse.home import Home


def load(home: Home, csv_file: Callable[..., Path], clinic: str, records: int) -> None:
    lines = [f"r{number},2026-01-02T10:00:00Z,{int(number == 0)},0," for number in range(records)]
    text = "record_id,submitted_at,systemic__fever,night_pain,rest_pain\n" + "\n".join(lines) + "\n"
    batch, _ = sources.register(home, csv_file(text, f"{clinic}.csv"), clinic=clinic, data_kind="live")
    intake.load(home, batch.batch_id)


def test_a_question_never_answered_yes_is_told_after_so_many_records_and_not_before(
    home: Home, csv_file: Callable[..., Path]
) -> None:
    load(home, csv_file, "north", RECORDS_WITHOUT_ONE)
    load(home, csv_file, "south", RECORDS_WITHOUT_ONE - 1)
    never = never_stated(home)
    assert list(never) == ["north"]
    assert "systemic__fever" not in never["north"]
    assert {"night_pain", "rest_pain", "neuro__saddle_numbness"} <= set(never["north"])
    rates = {(rate.clinic_id, rate.column): (rate.stated, rate.absent) for rate in answer_rates(home)}
    assert rates["north", "systemic__fever"] == (1, RECORDS_WITHOUT_ONE - 1)
    assert rates["north", "night_pain"] == (0, RECORDS_WITHOUT_ONE)
    assert rates["north", "rest_pain"] == (0, 0)
    told = [finding.sentence for finding in checkup.check_home(home) if "never answered yes" in finding.sentence]
    assert len(told) == 1
    assert "north" in told[0] and "night_pain" in told[0]


def test_sensitive_questions_stand_in_no_rate(home: Home, csv_file: Callable[..., Path]) -> None:
    load(home, csv_file, "north", 3)
    sensitive = {question.column for question in red_flag_questions() if question.sensitivity == "sensitive"}
    assert sensitive
    assert not sensitive & {rate.column for rate in answer_rates(home)}
