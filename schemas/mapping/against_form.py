"""Whether what a mapping says goes with the form: known columns, allowed answers, units, and who may say no.

Belongs here: every check of a mapping that needs the form. Does not belong here: the shape of the file
(``mapping_rules``). Each finding names a field of the mapping and never a value of a patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import polars as pl

from schemas.answers import problem_code
from schemas.form import FREE_TEXT_COLUMN, NONE_OF_THESE, REQUIRED_COLUMNS, Question, questions, red_flag_questions
from schemas.mapping.familiar_names import says_no
from schemas.mapping.mapping_rules import BoxRule, ColumnRule, Mapping
from schemas.mapping.readings import SEVERAL
from schemas.mapping.redcap import is_checkbox
from schemas.mapping.units import units_to

PLACE = "row"  # blocks of a file have a column of their own that is called so (``warehouse.formats.block``)
_OF_THE_RECORD_ALONE = ("record_id", "patient_key")


def wrong_for_form(mapping: Mapping) -> list[str]:
    """Every way in which the mapping does not go with the form, as ``field: what is wrong``; empty for a good one."""
    rules = mapping.rules
    unknown = [f"{column}: the form has no such column" for column in sorted(mapping.gives - questions().keys())]
    if unknown:
        return unknown
    wrong = [*_required(mapping), *_place(mapping), *_twice(mapping), *_ignored(mapping), *_constants(mapping)]
    for column, rule in rules.columns.items():
        wrong += [f"columns.{column}{what}" for what in _column(mapping, questions()[column], rule)]
    for place, box in enumerate(rules.boxes):
        wrong += [f"boxes.{place}{what}" for what in _boxes(mapping, box)]
    return wrong


def red_flag_columns() -> frozenset[str]:
    """The yes/no columns of the safety step and their none_of_these."""
    groups = {q.box_group for q in red_flag_questions() if q.box_group}
    none = {f"{group}__{NONE_OF_THESE}" for group in groups}
    return frozenset({q.column for q in red_flag_questions()} | (none & questions().keys()))


def may_be_a_box(question: Question) -> bool:
    """Whether what a source says for no may be a box that nobody ticked: a runner's box, or a red-flag question.

    What a clinician found, and a lone question of yes or no, is answered in words either way.
    """
    return is_checkbox(question) or question.column in red_flag_columns()


def allowed_answers(question: Question, answers: list[str]) -> bool:
    """Whether every text is an answer that the contract reads; a blank one is none."""
    frame = pl.DataFrame({question.column: answers}, schema={question.column: pl.String})
    clean = all(answer and answer == answer.strip() for answer in answers)
    return clean and frame.select(problem_code(question).is_null().all()).item() is True


def _required(mapping: Mapping) -> Iterator[str]:
    for column in REQUIRED_COLUMNS:
        if column not in mapping.gives and column != "clinic_id":
            yield f"columns.{column}: every record needs it"


def _place(mapping: Mapping) -> Iterator[str]:
    if PLACE in {*mapping.reads, *(mapping.rules.applies_to or ())}:
        yield f"from: a source column called {PLACE} cannot be read; give it another name in the export"


def _twice(mapping: Mapping) -> Iterator[str]:
    rules = mapping.rules
    given = Counter([*rules.columns, *rules.constants, *(c for box in rules.boxes for c in set(box.values.values()))])
    for column, times in given.items():
        if times > 1:
            yield f"{column}: it is filled in more than one place"
    for ident, times in Counter(check.id for check in rules.checks).items():
        if times > 1:
            yield f"checks.{ident}: two checks have this id"


def _ignored(mapping: Mapping) -> Iterator[str]:
    if set(mapping.rules.ignored) & set(mapping.reads):
        yield "ignored: it names a column that the mapping reads"


def _constants(mapping: Mapping) -> Iterator[str]:
    for column, answer in mapping.rules.constants.items():
        if column in _OF_THE_RECORD_ALONE:
            yield f"constants.{column}: it differs from record to record"
        elif not allowed_answers(questions()[column], [answer]):
            yield f"constants.{column}: not an answer that the form allows"
        elif answer == "0" and may_be_a_box(questions()[column]) and not mapping.signed:
            yield f"constants.{column}: saying no for everybody needs signed_by and signed_on"


def _column(mapping: Mapping, question: Question, rule: ColumnRule) -> Iterator[str]:
    numeric = question.type in ("integer", "number")
    if rule.unit:
        yield from _unit(question, rule)
    elif len(rule.sources) > 1:
        if rule.join is None:
            yield ".join: say what goes between the cells of several columns"
        if not rule.values and question.type not in ("text", "timestamp"):
            yield ".join: joined cells need values, or a unit for each column"
    if rule.join is not None and len(rule.sources) == 1:
        yield ".join: there is one column only"
    if rule.decimal and not numeric:
        yield ".decimal: the column holds no number"
    if rule.values is not None:
        yield from _values(question, rule.values, {*rule.blank, *mapping.rules.blank})
    if question.type != "timestamp":
        if rule.date:
            yield ".date: the column holds no time"
    elif rule.date and not (rule.date.zone or mapping.rules.zone):
        yield ".date.zone: say in which zone the times are, here or for the whole file"
    if may_be_a_box(question) and not mapping.signed:
        noes = [text for text, answer in (rule.values or {}).items() if answer == "0"]
        if rule.values is None or not all(map(says_no, noes)):
            yield (
                ": what is read as no may be a box that nobody ticked; give values in which only a word of the answer"
                " no (No, Nein, Non and so on) leads to 0, or have the mapping signed (signed_by, signed_on)"
            )


def _unit(question: Question, rule: ColumnRule) -> Iterator[str]:
    if question.type not in ("integer", "number") or rule.values is not None or rule.join is not None:
        yield ".unit: a unit goes with a number, without values and join"
    known = units_to(question.unit)
    if unknown := [unit for unit in rule.unit if unit not in known]:
        kinds = ", ".join(known) or "none"
        yield f".unit: {len(unknown)} of the units cannot become the form's; known here: {kinds}"
    if len(rule.unit) != len(rule.sources):
        yield ".unit: name one unit for each column"


def _values(question: Question, values: dict[str, str], blank: set[str]) -> Iterator[str]:
    if question.column in (*_OF_THE_RECORD_ALONE, FREE_TEXT_COLUMN) or question.type == "timestamp":
        yield ".values: the column takes texts of its own"
    elif not allowed_answers(question, list(values.values())):
        yield ".values: one of the answers is none that the form allows"
    if values.keys() & blank:
        yield ".values: a text stands in blank too"
    if any(text != text.strip() for text in values):
        yield ".values: a text begins or ends with a space, which is not read"


def _boxes(mapping: Mapping, box: BoxRule) -> Iterator[str]:
    targets = set(box.values.values())
    if any(questions()[target].type != "yesno" for target in targets):
        yield ".values: boxes lead to yes/no columns only"
    if box.ticked:
        yield from _ticks(box)
    else:
        yield from _options(mapping, box)
    if box.unticked == "no":
        yield from _may_say_no(mapping, box, targets)
    elif box.pair:
        yield ".pair: it goes with unticked: no"


def _ticks(box: BoxRule) -> Iterator[str]:
    if set(box.values) != set(box.sources):
        yield ".values: name each column of from, and the form's column that it ticks"
    if box.separator or box.no_box:
        yield ".ticked: separator and no_box go with cells that hold the options' texts"
    if set(box.ticked) & set(box.not_ticked):
        yield ".not_ticked: a text means both ticked and not ticked"
    if box.pair and not box.not_ticked:
        yield ".not_ticked: say which text is the answer no"


def _options(mapping: Mapping, box: BoxRule) -> Iterator[str]:
    options = [*box.values, *box.no_box]
    if box.not_ticked or box.pair:
        yield ".ticked: not_ticked and pair go with a column for each box"
    if len(set(options)) < len(options) or set(options) & set(mapping.rules.blank):
        yield ".no_box: an option is named twice, or is a text that means blank"
    if any(option != option.strip() or SEVERAL in option for option in options):
        yield ".values: an option begins or ends with a space, which is not read"
    if box.separator and any(_made_of(option, set(options) - {option}, box.separator) for option in options):
        yield ".separator: one option reads like several others joined; it cannot be told which were ticked"


def _made_of(text: str, options: set[str], separator: str) -> bool:
    """Whether ``text`` is a chain of ``options`` with ``separator`` between them."""
    return any(
        text == option
        or (text.startswith(option + separator) and _made_of(text[len(option + separator) :], options, separator))
        for option in options
    )


def _may_say_no(mapping: Mapping, box: BoxRule, targets: set[str]) -> Iterator[str]:
    groups = {questions()[target].box_group for target in targets}
    if not box.pair and any(f"{group}__{NONE_OF_THESE}" not in targets for group in groups):
        yield f".unticked: no needs a box {NONE_OF_THESE} for each group, or pair: true"
    if mapping.signed:
        return
    if targets & red_flag_columns():
        yield ".unticked: reading a red-flag box as no needs signed_by and signed_on"
    elif box.pair and not all(map(says_no, box.not_ticked)):
        yield ".not_ticked: a text that is no word of the answer no needs signed_by and signed_on to be read as no"
