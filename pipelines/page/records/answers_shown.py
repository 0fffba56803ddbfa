"""The answers of a record as a clinician reads them: stated, asked and absent, not asked, group by group of the form.

Belongs here: grouping, wording, and leaving sensitive answers out for whoever may not see them. Does not belong here:
where the answers lie (``warehouse.answers_copy``).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.asked_of_whom import asked_of_whom
from pipelines.finding_words import answer_words, asked_phrases, question_words
from schemas.form import FREE_TEXT_COLUMN, NONE_OF_THESE, Question, form, questions
from schemas.forms.wording import wording
from schemas.sensitive_parts import sensitive_columns

# Titles for a reader, where the form's own speak to whoever fills it in or has none.
_TITLES = {"record": "The form", "person": "The person", "function": "Walking", "consult": "What was done about it"}
KEYS = ("record_id", "clinic_id", "submitted_at", "patient_key")


@dataclass(frozen=True, slots=True)
class AnswerGroup:
    """One group of the form: ``stated`` are pairs of question and answer, the others phrases of questions.

    ``present``: answered yes. ``absent``: asked and absent. ``unknown``: how many were not asked or are not known.
    """

    title: str
    stated: tuple[tuple[str, str], ...]
    present: tuple[str, ...]
    absent: tuple[str, ...]
    not_asked: tuple[str, ...]
    unknown: int


@dataclass(frozen=True, slots=True)
class AnswersShown:
    """All groups, and what was carried forward (question, answer, when).

    ``answered``, ``askable``: how many of the questions that the reader may see have an answer, of how many that may be
    asked of this person. The others are not counted: how many of them have an answer tells of it, where only what is
    ticked is stored.
    """

    groups: tuple[AnswerGroup, ...]
    carried: tuple[tuple[str, str, datetime], ...]
    imaging: tuple[tuple[str, str], ...]
    answered: int
    askable: int


def answers_shown(
    stated: Mapping[str, object], carried: Mapping[str, tuple[object, datetime]], *, sensitive: bool
) -> AnswersShown:
    """Answers by column, as ``warehouse.answers_copy`` gives them, for a person who may see sensitive ones or not."""
    stated = with_cleared_boxes(stated)
    mine = [question for question in form() if question.column not in (*KEYS, FREE_TEXT_COLUMN)]
    shown = [question for question in mine if sensitive or question.column not in sensitive_columns()]
    visible = {question.column for question in shown}
    could_be_asked = [q for q in shown if q.column in stated or may_be_asked(q, stated)]
    return AnswersShown(
        groups=tuple(_groups(shown, stated)),
        carried=tuple(
            (question_words(column), answer_words(questions()[column], answer), when)
            for column, (answer, when) in carried.items()
            if column in visible
        ),
        imaging=tuple(
            (question_words(q.column), answer_words(q, stated[q.column]))
            for q in shown
            if q.group == "imaging" and stated.get(q.column) not in (None, "none")
        ),
        answered=sum(question.column in stated for question in shown),
        askable=len(could_be_asked),
    )


def _groups(shown: Iterable[Question], stated: Mapping[str, object]) -> Iterator[AnswerGroup]:
    by_title: dict[str, list[Question]] = {}
    for question in shown:
        by_title.setdefault(group_title(question), []).append(question)
    for title, of_group in by_title.items():
        given = {q.column: stated[q.column] for q in of_group if q.column in stated}
        open_ones = [q.column for q in of_group if q.column not in stated and may_be_asked(q, stated)]
        yield AnswerGroup(
            title=title,
            stated=tuple(
                (question_words(column), answer_words(questions()[column], answer))
                for column, answer in given.items()
                if not isinstance(answer, bool)
            ),
            present=tuple(asked_phrases(column for column, answer in given.items() if answer is True)),
            absent=tuple(asked_phrases(column for column, answer in given.items() if answer is False)),
            not_asked=tuple(asked_phrases(open_ones)),
            unknown=len(open_ones),
        )


def with_cleared_boxes(stated: Mapping[str, object]) -> dict[str, object]:
    """The answers, and as absent each blank box of a group whose "none of these" is ticked, as everywhere else."""
    cleared = {
        question.column: False
        for question in form()
        if question.box_group and stated.get(f"{question.box_group}__{NONE_OF_THESE}") is True
    }
    return cleared | dict(stated)


def group_title(question: Question) -> str:
    """What stands above the questions of a group."""
    if question.group == "screen":
        return wording().sections["safety"]
    return _TITLES.get(question.group) or wording().sections[question.group]


def may_be_asked(question: Question, stated: Mapping[str, object]) -> bool:
    """Whether the form may put this question to the person: never the hop test, and no question of the other sex."""
    limits, column = asked_of_whom(), question.column
    sex: Any = stated.get("sex")
    age: Any = stated.get("age_years")
    wrong_sex = sex in ("male", "female") and limits.only_sex.get(column, sex) != sex
    youngest, oldest = limits.only_age.get(column, (0, 200))
    return question.ask == "ask" and not wrong_sex and (age is None or youngest <= age <= oldest)
