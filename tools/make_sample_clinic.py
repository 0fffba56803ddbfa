"""Writes ``warehouse/bundled/sample-clinic.csv``: an invented clinic whose forms show every rule and every code.

Usage: ``.venv/bin/python tools/make_sample_clinic.py [FILE]``. The same knowledge gives the same bytes; after a change
to the catalogue, the rules, the form or the generator run it again and commit the file (``tests/test_bundled.py`` asks
for it). Most records are drawn as the catalogue's figures say. What those do not show is added: answers that fire the
remaining rules (``tests/rule_cases.yaml``), odd and unreadable forms and corrections (``sample_clinic.yaml``), forms
sent twice, and people who come again. Nothing here is about a real person.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import yaml

from models.catalogue import load_catalogue
from models.cohort import generate
from models.rules import YES, evaluate, load_rules
from schemas.contract import split
from schemas.form import FREE_TEXT_COLUMN, answer_columns, form, questions

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_FILE = ROOT / "warehouse" / "bundled" / "sample-clinic.csv"
CLINIC = "sample-clinic"
SEED = 20261115
FIRST_MONDAY = datetime(2026, 9, 21, tzinfo=ZoneInfo("Europe/London"))
WEEKS = 8
LONG_AFTER = datetime(2027, 1, 1, tzinfo=UTC)  # when the contract looks at candidates: after every form
DRAWN, AS_DRAWN = 300, 222  # records drawn, and how many of them stay as they are; the others carry what is added
CANDIDATES = 30
WITH_PATIENT_KEY = 0.6
COME_AGAIN, A_THIRD_TIME = 20, 4
SENT_TWICE, CONFLICTING = 6, 2
# What goes with the age that was drawn, and not with one laid over it.
_OF_AGE = (
    "height_cm", "weight_kg", "runner_level", "years_running", "weekly_km", "weekly_km_4_weeks_ago",
    "history__alcohol_excess", "history__growth_spurt",
)  # fmt: skip
_OPEN_QUOTE = '"sore since the weekend'
_LONG_NOTE = "The pain is about the same every day. " * 110

Cells = dict[str, str]


@dataclass
class Form:
    """One form on its way: ``spoilt`` is laid over the cells last, ``broken`` names how its line is damaged."""

    at: datetime
    cells: Cells
    spoilt: Cells = field(default_factory=dict)
    broken: str = ""

    @property
    def written(self) -> Cells:
        """The cells as they stand in the file."""
        return {"submitted_at": self.at.isoformat()} | self.cells | self.spoilt


@dataclass(frozen=True)
class Wanted:
    """Answers to be shown by one of ``people``, so that ``rule`` fires if one is named."""

    people: list[Cells]
    answers: Cells
    rule: str | None = None


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("sample_clinic.yaml").read_text("utf-8"))
    return settings


def _texts(answers: dict[str, Any]) -> Cells:
    return {column: str(answer) for column, answer in answers.items()}


def _drawn(n: int, seed: int, balanced: bool) -> tuple[list[Cells], np.ndarray]:
    """Generated records as non-blank text cells, with what each was drawn for."""
    cohort = generate(load_catalogue(), n, seed, balanced=balanced)
    kept = [c for c in ("completed_by", *answer_columns()) if c in cohort.records.columns]
    yes_no = [c for c in kept if questions()[c].type == "yesno"]
    text = cohort.records.select(kept).with_columns(pl.col(yes_no).cast(pl.Int8)).cast(pl.String)
    # A whole number in a decimal column is written without its ".0", as people write it.
    rows = text.with_columns(pl.all().str.replace(r"\.0$", "")).to_dicts()
    return [
        {column: cell for column, cell in row.items() if cell is not None and _stands_on(column, row["completed_by"])}
        for row in rows
    ], cohort.condition


def _stands_on(column: str, completed_by: str) -> bool:
    """Whether the question stands on the form that this person fills in."""
    return completed_by == "clinician" or questions()[column].asked_of != "clinician"


def _read(rows: list[Cells]) -> pl.DataFrame:
    """What the contract accepts of these answers: row, typed answers, warnings."""
    columns = sorted({column for row in rows for column in row})
    cells = pl.DataFrame({column: [row.get(column, "") for row in rows] for column in columns})
    keys = [pl.lit("x").alias("record_id"), pl.lit("2026-11-01T09:00:00Z").alias("submitted_at")]
    return split(cells.with_columns(keys), clinic=CLINIC, received_at=LONG_AFTER).accepted


def _laid_over(person: Cells, answers: Cells) -> Cells:
    laid = person | answers
    if "age_years" in answers and answers["age_years"] != person.get("age_years"):
        laid = {column: cell for column, cell in laid.items() if column not in _OF_AGE or column in answers}
        child = int(answers["age_years"]) < 16
        if laid["completed_by"] in ("self", "parent_or_carer"):
            laid["completed_by"] = "parent_or_carer" if child else "self"
    if not all(_stands_on(column, laid["completed_by"]) for column in answers):
        laid["completed_by"] = "clinician"
    return {column: cell for column, cell in laid.items() if cell}


def _candidates(wanted: Wanted) -> list[Cells]:
    """The wanted answers laid over people, those whom they change least first; before them the answers alone."""

    def changed(person: Cells) -> float:
        years = abs(int(person.get("age_years", 40)) - int(wanted.answers.get("age_years") or 40))
        changes = sum(person.get(column, "") != cell for column, cell in wanted.answers.items())
        return changes + (years / 5 if "age_years" in wanted.answers else 0)

    nearest = sorted(wanted.people, key=changed)[:CANDIDATES]
    return [wanted.answers, *(_laid_over(person, wanted.answers) for person in nearest)]


def _fitted(wanted: list[Wanted]) -> list[Cells]:
    """For each wish the first candidate who fires its rule and carries no warning that the answers alone do not."""
    tried = [_candidates(wish) for wish in wanted]
    accepted = _read([cells for candidates in tried for cells in candidates])  # all at once: the contract likes batches
    fired, codes = evaluate(accepted, load_rules()).status, accepted["warnings"].to_list()
    fitted, start = [], 0
    for wish, candidates in zip(wanted, tried, strict=True):
        fits = [
            cells
            for place, cells in enumerate(candidates[1:], start=start + 1)
            if codes[place] == codes[start] and (wish.rule is None or fired[wish.rule][place] == YES)
        ]
        if not fits:
            raise SystemExit(f"no drawn record can carry the answers {sorted(wish.answers)}: draw more or change them")
        fitted.append(fits[0])
        start += len(candidates)
    return fitted


def _for_rules(already: pl.DataFrame) -> list[Wanted]:
    """A wish for each rule that nobody of ``already`` fires, over people drawn for a condition that it is about."""
    rules = load_rules()
    cases = yaml.safe_load((ROOT / "tests" / "rule_cases.yaml").read_text("utf-8"))
    shown = evaluate(already, rules).status
    pool, condition = _drawn(CANDIDATES * len(load_catalogue().conditions), SEED + 1, balanced=True)
    return [
        Wanted([pool[place] for place in np.flatnonzero(condition == rule.condition[0])], _texts(answers), rule.id)
        for rule in rules.rules
        for answers in [cases[rule.id]["fires"]]
        if not (shown[rule.id] == YES).any()
    ]


def _moment(rng: np.random.Generator, completed_by: str) -> datetime:
    """When a form is sent: clinics in their hours on weekdays, people also in the evening and on Saturdays."""
    in_hours = completed_by in ("clinician", "telephone")
    day = int(rng.integers(WEEKS)) * 7 + int(rng.integers(5 if in_hours else 6))
    minute = rng.triangular(8, 11, 18) if in_hours else rng.triangular(7, 19, 23)
    return FIRST_MONDAY + timedelta(days=day, minutes=int(minute * 60))


def _annotate(firsts: list[Form], notes: list[str], rng: np.random.Generator) -> None:
    """Give some people a key that links their records, and a few forms a note."""
    for number, one in enumerate(firsts):
        if rng.random() < WITH_PATIENT_KEY:
            one.cells["patient_key"] = f"p-{number:03d}"
    for one, note in zip(firsts[::30], notes, strict=False):
        one.cells[FREE_TEXT_COLUMN] = note


def _coming_again(firsts: list[Form], rng: np.random.Generator) -> list[Form]:
    """Later records of people with a key whose first form came early; some of them come a third time, worse."""
    early = [one for one in firsts if "patient_key" in one.cells and one.at < FIRST_MONDAY + timedelta(days=12)]
    second = [_again(one, place % 2 == 0, rng) for place, one in enumerate(early[:COME_AGAIN])]
    return second + [_again(one, True, rng) for one in second[:A_THIRD_TIME]]


def _again(before: Form, worse: bool, rng: np.random.Generator) -> Form:
    """The same person one to three weeks later."""
    days = int(rng.integers(8, 21))
    cells = {column: cell for column, cell in before.cells.items() if column != FREE_TEXT_COLUMN}
    now = int(cells.get("pain_now", "4")) + (2 if worse else -2)
    cells["pain_now"] = str(min(max(now, 0), 10))
    cells["pain_worst"] = str(max(int(cells.get("pain_worst", "0")), int(cells["pain_now"])))
    cells["course"] = "progressive" if worse else "improving"
    if "duration_weeks" in cells:
        cells["duration_weeks"] = f"{float(cells['duration_weeks']) + days / 7:.1f}".removesuffix(".0")
    return Form(before.at + timedelta(days=days, minutes=int(rng.integers(-90, 90))), cells)


def _forms() -> list[Form]:
    """Every form of the sample clinic in the order of arrival."""
    settings, rng = _settings(), np.random.default_rng(SEED)
    drawn, _ = _drawn(DRAWN, SEED, balanced=False)
    plain = _read(drawn).filter(pl.col("warnings").list.len() == 0)
    people = [drawn[row] for row in plain["row"]]
    people, spare = people[:AS_DRAWN], people[AS_DRAWN:]
    wanted = [Wanted(spare, _texts(answers)) for answers in settings["odd"].values()]
    wanted += [Wanted(spare, _texts(correction["first"])) for correction in settings["corrections"]]
    fitted = _fitted(_for_rules(plain[:AS_DRAWN]) + wanted)

    def sent(cells: Cells, **damage: Any) -> Form:
        return Form(_moment(rng, cells["completed_by"]), dict(cells), **damage)

    firsts = [sent(cells) for cells in people]
    _annotate(firsts, settings["notes"], rng)
    added = [sent(cells) for cells in fitted]
    damage: list[dict[str, Any]] = [{"spoilt": _texts(refused["cells"])} for refused in settings["refused"]]
    damage += [{"spoilt": {FREE_TEXT_COLUMN: _LONG_NOTE}}, {"broken": "cell_count"}, {"broken": "unclosed_quote"}]
    unread = [sent(cells, **how) for cells, how in zip(spare, damage, strict=False)]
    once = sorted([*firsts, *_coming_again(firsts, rng), *added, *unread], key=lambda one: one.at)
    for number, one in enumerate(once, start=1):
        one.cells = {"record_id": f"s-{number:04d}", "clinic_id": CLINIC} | one.cells
    corrections = settings["corrections"]
    return _as_they_arrive(once, firsts, list(zip(corrections, added[-len(corrections) :], strict=True)))


def _as_they_arrive(once: list[Form], firsts: list[Form], corrected: list[tuple[dict[str, Any], Form]]) -> list[Form]:
    """The forms in the order of arrival, with those sent twice, those that conflict, and the corrections."""
    arrivals = [(one.at, one) for one in once]
    for place, one in enumerate(firsts[5 : 5 + SENT_TWICE]):
        arrivals.append((one.at + timedelta(hours=3 + 11 * place), one))
    for one in firsts[-CONFLICTING:]:
        other_answer = {"severe_pain": "0" if one.cells.get("severe_pain") == "1" else "1"}
        arrivals.append((one.at + timedelta(minutes=20), Form(one.at, one.cells | other_answer)))
    for place, (correction, older) in enumerate(corrected):
        newer = Form(older.at + timedelta(hours=2 + 9 * place), _laid_over(older.cells, _texts(correction["then"])))
        arrivals.append((newer.at, newer))
        if correction.get("late"):
            arrivals.remove((older.at, older))
            arrivals.append((newer.at + timedelta(days=1), older))
    return [one for _, one in sorted(arrivals, key=lambda arrival: arrival[0])]


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().removesuffix("\n")


def _text_of(arrived: list[Form]) -> str:
    """The CSV file of these forms, with the columns that at least one of them fills."""
    used = {column for one in arrived for column, cell in one.written.items() if cell}
    columns = [q.column for q in form() if q.column in used]
    lines = [_line(columns)]
    for one in arrived:
        line = _line(one.written.get(column, "") for column in columns)
        if one.broken == "cell_count":
            line = line.rsplit(",", 4)[0]
        elif one.broken == "unclosed_quote":
            line += _OPEN_QUOTE  # the last cell, notes, is blank
        lines.append(line)
    return "\n".join(lines) + "\n"


def write(path: Path = SAMPLE_FILE) -> None:
    """Write the sample clinic's file to ``path``."""
    path.write_text(_text_of(_forms()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(*(Path(name) for name in sys.argv[1:2]))
