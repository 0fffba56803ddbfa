"""What if: one unanswered question is answered on the page, and the tier that would follow is shown. Nothing is kept.

Whoever may not see sensitive answers could find them out by trying others: whether a rule fires then tells of them. So
it is for those who act on a record alone.

Belongs here: which questions may be chosen by whom, and the comparison in words. Does not belong here: the scoring
(``pipelines.what_if``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from pipelines.console import tested, words
from pipelines.differential_words import NO_MODEL, Group, groups, is_child
from pipelines.finding_words import question_words
from pipelines.page.records.answers_shown import group_title, may_be_asked, with_cleared_boxes
from pipelines.page.records.record_reading import Record, Row, read_of
from pipelines.page.rendering import page
from pipelines.page.security import access
from pipelines.page.security.people import Person
from pipelines.page.sensitive import disclosed, without_phrases
from pipelines.page.visit import Visit, shown_to
from pipelines.what_if import Compared, WhatIfBusy, WhatIfRefused, compare
from schemas.form import FREE_TEXT_COLUMN, Question, form, questions
from schemas.forms.wording import wording
from schemas.sensitive_parts import sensitive_columns
from warehouse import answers_copy
from warehouse.answers_copy import Stated

NOT_AT_HAND = "The answers of this record are not at hand here, so that nothing can be tried."
NOT_FOR_THEM = "the form does not put this question to this person"
CLEARED = "this question is answered already, by none of these"
FOR_CLINICIANS = "Sensitive questions can be tried by clinicians of this clinic only."


@dataclass(frozen=True, slots=True)
class Control:
    """A question that may be answered for a try: ``options`` (code, words) to choose from, or a number in bounds."""

    column: str
    question: str
    options: tuple[tuple[str, str], ...]
    low: float | None
    high: float | None
    step: str
    unit: str


@dataclass(frozen=True, slots=True)
class ToAsk:
    """A question worth asking, and why; ``control`` is None where it cannot be tried, and ``why_not`` says why."""

    question: str
    why: str
    control: Control | None
    why_not: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison in words."""

    tier: str
    reason: str
    destination: str
    first_imaging: str
    review: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The record as it is and with the answer; rules are told by their text.

    ``differs``: sentences on what makes the fresh score of the same answers another one than the published row.
    """

    question: str
    answer: str
    now: Side
    then: Side
    newly_fired: tuple[str, ...]
    no_longer_fired: tuple[str, ...]
    newly_excluded: tuple[str, ...]
    newly_in_doubt: tuple[str, ...]
    odd: tuple[str, ...]
    differs: tuple[str, ...]
    no_model: str


def questions_on(row: Row, stated: Stated | None, person: Person) -> list[ToAsk]:
    """The questions to ask of a record, most useful first, each with the means to try an answer for who may."""
    if not person.may("try"):
        return [ToAsk(ask["question"], ask["why"], None, "") for ask in row["questions_to_ask"] or []]
    sensitive, found = person.may("answers"), []
    for ask in row["questions_to_ask"] or []:
        question = questions().get(ask["column"])
        open_to_all = sensitive or ask["column"] not in sensitive_columns()
        can_try = question is not None and stated is not None and _is_open(question, stated, sensitive=sensitive)
        why_not = "" if can_try or stated is None else ("" if open_to_all else FOR_CLINICIANS)
        found.append(
            ToAsk(ask["question"], ask["why"], control_of(question) if can_try and question else None, why_not)
        )
    return found


def control_of(question: Question) -> Control:
    """The means to answer one question: its allowed answers, or its bounds."""
    if question.type == "yesno":
        options: tuple[tuple[str, str], ...] = (("1", "yes"), ("0", "no"))
    else:
        options = tuple((code, wording().answer(question, code)) for code in question.choices)
    low, high = question.allowed_range or (None, None)
    step = "1" if question.type == "integer" else "any"
    return Control(question.column, question_words(question.column), options, low, high, step, question.unit)


def _is_open(question: Question, stated: Stated, *, sensitive: bool) -> bool:
    """Whether somebody may try an answer: it is unanswered, may be put to the person, and may be seen by the asker."""
    return (
        question.column not in with_cleared_boxes(stated.answers)
        and question.group != "record"
        and question.column != FREE_TEXT_COLUMN
        and (sensitive or question.column not in sensitive_columns())
        and may_be_asked(question, stated.answers)
    )


def _choices(row: Row, stated: Stated, *, sensitive: bool) -> dict[str, list[tuple[str, str]]]:
    """Every question that may be tried, by title of its group; those worth asking first."""
    first = [ask["column"] for ask in row["questions_to_ask"] or []]
    free = [question for question in form() if _is_open(question, stated, sensitive=sensitive)]
    found: dict[str, list[tuple[str, str]]] = {}
    worth = sorted((q for q in free if q.column in first), key=lambda q: first.index(q.column))
    for title, some in (("Worth asking", worth), *((group_title(q), [q]) for q in free)):
        found.setdefault(title, []).extend(
            (q.column, question_words(q.column) + (" (answered earlier)" if q.column in stated.carried else ""))
            for q in some
            if title == "Worth asking" or q.column not in first
        )
    return {title: listed for title, listed in found.items() if listed}


@shown_to("try")
def choose(visit: Visit) -> Response:
    """The page to choose a question and an answer on."""
    record, stated = _opened(visit)
    return _shown(visit, record, stated)


@shown_to("try")
def answer(visit: Visit) -> Response:
    """What the chosen answer would change. Writes nothing."""
    record, stated = _opened(visit)
    row, sensitive = record.row, visit.person.may("answers")
    column, given = visit.form.get("column", ""), visit.form.get("answer", "")
    if column in sensitive_columns() and not sensitive:
        return _shown(visit, record, stated, message=FOR_CLINICIANS, status=403)
    tables = answers_copy.as_records(visit.home, row["clinic_id"], row["record_id"], row["intake_hash"])
    if stated is None or tables is None:
        return _shown(visit, record, None, status=409)
    question = questions().get(column)
    if column not in stated.answers and column in with_cleared_boxes(stated.answers):
        return _shown(visit, record, stated, message=f"Refused: {CLEARED}.", status=400)
    if question and column not in stated.answers and not may_be_asked(question, stated.answers):
        return _shown(visit, record, stated, message=f"Refused: {NOT_FOR_THEM}.", status=400)
    try:
        compared = compare(visit.home, *tables, column, given)
    except WhatIfRefused as refused:
        return _shown(visit, record, stated, message=f"Refused: {refused}.", status=400)
    except WhatIfBusy as busy:
        return _shown(visit, record, stated, message=f"Not now: {busy}.", status=503)
    told = _comparison(record, compared, questions()[column], given.strip(), sensitive=sensitive)
    return _shown(visit, record, stated, compared=told)


def _opened(visit: Visit) -> tuple[Record, Stated | None]:
    """The record and its answers, entered in the access log. Raises HTTPException 404."""
    record = read_of(visit, visit.query.get("record") or visit.form.get("record"))
    row = record.row
    access.note(visit, "what_if", clinic=row["clinic_id"], record=row["record_id"])
    return record, answers_copy.stated(visit.home, row["clinic_id"], row["record_id"], row["intake_hash"])


def _shown(
    visit: Visit,
    record: Record,
    stated: Stated | None,
    *,
    compared: Comparison | None = None,
    message: str = "",
    status: int = 200,
) -> Response:
    row, sensitive = record.row, visit.person.may("answers")
    question = questions().get(visit.query.get("column") or visit.form.get("column") or "")
    chosen = question if question and stated and _is_open(question, stated, sensitive=sensitive) else None
    return page(
        visit,
        "record_what_if.html",
        status=status,
        row=row,
        names=record.names,
        tested=tested(row["evidence_basis"]),
        compared=compared,
        message=message if stated else NOT_AT_HAND,
        choices=_choices(row, stated, sensitive=sensitive) if stated else {},
        chosen=control_of(chosen) if chosen else None,
        given=visit.form.get("answer", ""),
    )


def _comparison(record: Record, compared: Compared, question: Question, given: str, *, sensitive: bool) -> Comparison:
    now, then = (disclosed(side, answers=sensitive) for side in (compared.now, compared.then))
    flags_now, flags_then = ({flag["id"]: flag["text"] for flag in side["red_flags"]} for side in (now, then))
    results_now, results_then = ({rule["id"]: rule["result"] for rule in side["rule_status"]} for side in (now, then))

    def newly(result: str) -> tuple[str, ...]:
        return tuple(
            record.rules[rule]["text"] if rule in record.rules else words(rule)
            for rule, is_now in results_then.items()
            if is_now == result and results_now.get(rule) != result
        )

    options = dict(control_of(question).options)
    return Comparison(
        question=question_words(question.column),
        answer=options.get(given, f"{given} {question.unit}".strip()),
        now=_side(now),
        then=_side(then),
        newly_fired=tuple(text for rule, text in flags_then.items() if rule not in flags_now),
        no_longer_fired=tuple(text for rule, text in flags_now.items() if rule not in flags_then),
        newly_excluded=newly("no"),
        newly_in_doubt=newly("cannot_tell"),
        odd=compared.odd if sensitive else tuple(without_phrases("review_reason", one) for one in compared.odd),
        differs=tuple(_differs(record.row, compared)),
        no_model="" if then["differential"] else NO_MODEL,
    )


def _side(row: Mapping[str, Any]) -> Side:
    return Side(
        tier=row["tier"],
        reason=row["tier_reason"] or "",
        destination=row["destination"] or "",
        first_imaging=row["first_imaging"] or "",
        review=(row["review_reason"] or "") if row["needs_review"] else "",
        groups=tuple(groups(row)),
    )


def _differs(row: Row, compared: Compared) -> Iterator[str]:
    """Why the fresh score of the same answers need not be the published one."""
    for what, in_force in asdict(compared.versions).items():
        if row[what] != in_force:
            yield f"The published row was scored by {words(what)} {row[what]}; now {in_force} is in force."
    if row["tier"] != compared.now["tier"]:
        yield (
            f"The published tier is {words(row['tier'])}, a fresh score of the same answers gives "
            f"{words(compared.now['tier'])}: its history, the publish gate or other versions make the difference."
        )
    if is_child(row):
        yield "Under 16 the model counts for nothing: what follows comes from rules."


routes = [
    Route("/record/what-if", choose, methods=["GET"]),
    Route("/record/what-if", answer, methods=["POST"]),
]
