"""What gets written on a form: which true answers a person or a clinician states, and which stay blank.

Belongs here: blanks of generated records, by the kind of form, the group of the question and the answer
(``generator.yaml``). Does not belong here: the true answers (``models.people``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.asked_of_whom import asked_of_whom
from models.features import feature_bins
from models.generator_settings import FormKind, generator_settings
from models.worlds import World
from schemas.form import NONE_OF_THESE, answer_columns, questions

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Answers = dict[str, NDArray[np.generic]]


def stated_answers(answers: Answers, kind: Ints, world: World, rng: np.random.Generator) -> dict[str, Bools]:
    """For every column of ``answers`` which people state it, n each.

    ``kind``: the place of each person's form in ``form_kinds``. Adds the columns ``..__none_of_these`` to ``answers``
    and to the result. Whether an answer is stated depends on the form and on the answer, never on the condition.
    """
    kinds = list(generator_settings().form_kinds.values())
    n = len(kind)
    asked = {
        group: rng.random(n) < _chance([form.groups[group].asked for form in kinds], world.asked, kind)
        for group in kinds[0].groups
    }
    stated: dict[str, Bools] = {}
    for column, answer in answers.items():
        question = questions()[column]
        if column in feature_bins().same_as_box:
            stated[column] = np.zeros(n, dtype=np.bool_)  # the boxes say the same, and a form has either
            continue
        present = _chance([form.groups[question.group].present for form in kinds], world.present, kind)
        absent = _chance([form.groups[question.group].absent for form in kinds], world.absent, kind)
        chance = np.where(answer, present, absent) if question.type == "yesno" else present
        if question.ask == "record_only":
            chance = chance * generator_settings().record_only
        if question.asked_of == "clinician":
            chance = chance * np.array([form.completed_by == "clinician" for form in kinds])[kind]
        stated[column] = asked[question.group] & (rng.random(n) < chance)
    _keep_apart(answers, stated)
    for column in (c for c in answer_columns() if c.endswith(NONE_OF_THESE)):
        _tick_none(column, asked[questions()[column].group], answers, stated, kinds, kind, rng)
    return stated


def _chance(by_kind: list[float], times: float, kind: Ints) -> NDArray[np.float64]:
    return np.minimum(np.array(by_kind) * times, 1.0)[kind]


def _keep_apart(answers: Answers, stated: dict[str, Bools]) -> None:
    """What one form does not hold together: questions for others, a value and its word, answers that exclude others."""
    settings = generator_settings()
    female, age = answers["sex"] == 0, answers["age_years"].astype(float)
    for column, sex in asked_of_whom().only_sex.items():
        stated[column] &= female if sex == "female" else ~female
    for column, (youngest, oldest) in asked_of_whom().only_age.items():
        stated[column] &= (age >= youngest) & (age <= oldest)
    numbers = stated["crp_mg_l"] | stated["esr_mm_h"]
    stated["lab__raised_crp_esr"] &= ~numbers
    stated["lab__raised_wbc"] &= ~stated["wbc_10e9_l"]
    stated["worse_side"] &= stated["side"] & (answers["side"] == 2)
    # Nobody writes both of two answers that exclude each other: the calmer one stays blank.
    for worrying, calmer in settings.not_beside.items():
        column, given = _given(worrying, answers)
        for name in calmer:
            other, also = _given(name, answers)
            stated[other] &= ~(stated[column] & given & also)


def _given(name: str, answers: Answers) -> tuple[str, Bools]:
    """The column of ``name`` (a yes/no column, or ``column=choice``), and where it holds."""
    column, _, choice = name.partition("=")
    if choice:
        return column, np.asarray(answers[column] == questions()[column].choices.index(choice))
    return column, answers[column].astype(np.bool_)


def _tick_none(
    column: str,
    asked: Bools,
    answers: Answers,
    stated: dict[str, Bools],
    kinds: list[FormKind],
    kind: Ints,
    rng: np.random.Generator,
) -> None:
    boxes = [c for c in answers if questions()[c].box_group == questions()[column].box_group]
    nothing = ~np.any([answers[c] for c in boxes], axis=0)
    ticked = asked & nothing & (rng.random(len(kind)) < np.array([form.none_of_these for form in kinds])[kind])
    answers[column] = stated[column] = ticked
    for box in boxes:
        stated[box] &= ~ticked
