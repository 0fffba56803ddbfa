"""How often each red-flag question is answered yes in each clinic: a box that never comes through is a broken form.

Belongs here: the counts, and when too many records have gone by without one. Does not belong here: what to do about it.
Questions of sensitivity ``sensitive`` are left out: they stand in no aggregate.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.form import red_flag_questions
from warehouse.home import Home
from warehouse.store import opened

# Judgement of this project, not yet signed by a clinician.
RECORDS_WITHOUT_ONE = 200


@dataclass(frozen=True, slots=True)
class AnswerRate:
    """Current records of a clinic: how many state a finding (1) and how many state that it is absent (0)."""

    clinic_id: str
    column: str
    records: int
    stated: int
    absent: int

    @property
    def never_stated(self) -> bool:
        """Whether nobody stated it in so many records that the form or its mapping should be looked at."""
        return self.stated == 0 and self.records >= RECORDS_WITHOUT_ONE


def answer_rates(home: Home) -> list[AnswerRate]:
    """One rate for each clinic and red-flag question, by clinic and in the order of the form."""
    columns = [question.column for question in red_flag_questions() if question.sensitivity != "sensitive"]
    counted = ", ".join(f'count(*) FILTER ("{c}"), count(*) FILTER (NOT "{c}")' for c in columns)
    with opened(home, "count answers") as connection:
        rows = connection.execute(
            f"SELECT clinic_id, count(*), {counted} FROM intake_current GROUP BY clinic_id ORDER BY clinic_id"
        ).fetchall()
    return [
        AnswerRate(clinic, column, records, counts[2 * place], counts[2 * place + 1])
        for clinic, records, *counts in rows
        for place, column in enumerate(columns)
    ]


def never_stated(home: Home) -> dict[str, list[str]]:
    """By clinic, the red-flag questions that were never answered yes in ``RECORDS_WITHOUT_ONE`` records or more."""
    found: dict[str, list[str]] = {}
    for rate in answer_rates(home):
        if rate.never_stated:
            found.setdefault(rate.clinic_id, []).append(rate.column)
    return found
