"""Stated answers and questions in the words of the form.

Belongs here: the wording that the terminal and the page share. Does not belong here: whether an answer may be shown to
whoever asks (``pipelines.page``).
"""

from collections.abc import Iterable
from typing import Any

from pipelines.console import words
from schemas.form import Question, questions
from schemas.forms.layout import title
from schemas.forms.wording import wording

YES, NO = "yes", "no, asked and absent"


def question_words(column: str) -> str:
    """What a column asks; an id that the form does not have as words."""
    question = questions().get(column)
    return title(question) if question else words(column)


def asked_phrases(columns: Iterable[str]) -> list[str]:
    """What several columns ask; a group's shared words stand once before its boxes."""
    shared: dict[str, list[str]] = {}
    for column in columns:
        head, colon, own = question_words(column).partition(": ")
        shared.setdefault(head, []).extend([own] if colon else [])
    return [f"{head}: {'; '.join(boxes)}" if boxes else head for head, boxes in shared.items()]


def asked_words(columns: Iterable[str]) -> str:
    """The same as one phrase."""
    return ". ".join(asked_phrases(columns))


def answer_words(question: Question, answer: Any) -> str:
    """A typed answer, or its text as a file writes it, with its unit."""
    if question.type == "yesno":
        return YES if answer in (True, "1") else NO if answer in (False, "0") else str(answer)
    if question.type == "choice":
        return wording().answer(question, str(answer))
    if question.type == "number" and isinstance(answer, float):
        answer = f"{answer:.15g}"
    unit = f"({question.unit})" if question.unit[:1].isdigit() else question.unit  # a scale, such as 0-10
    return f"{answer} {unit}".strip()


def finding(column: str, answer: str) -> str:
    """A stated answer with what it answers."""
    question = questions().get(column)
    return f"{question_words(column)}: {answer_words(question, answer) if question else words(answer)}"
