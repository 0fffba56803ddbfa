"""The form as a REDCap data dictionary: the 18 columns that REDCap takes under "Upload data dictionary".

Belongs here: field names, types, choices and action tags. Does not belong here: the order of questions
(``schemas.forms.layout``), reading an export back (``schemas.mapping``).

Names: a column is a field of its name with ``__`` written ``_`` (REDCap takes no double underscore); boxes of a group
are one checkbox field whose codes are what stands after ``__``, so a raw export has ``systemic___fever``; findings of
the clinician are radio fields in a matrix. Codes are the form's own answers.

Times: REDCap keeps times without an offset, and the contract refuses those. Each sheet notes the time in UTC by itself
(@NOW-UTC, when it is first opened), and ``submitted_at`` is worked out as the later of the two with a Z, so that a
clinician's sheet filled in later is a newer version of the record and not a conflict with the first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from schemas.answers import NOTES_CHARACTERS
from schemas.form import FREE_TEXT_COLUMN, NONE_OF_THESE, Question, form_digest, questions
from schemas.forms.layout import Asked, Section, Sheet, sheet, title
from schemas.forms.wording import AUDIENCES, Audience, stop_text, wording

COLUMNS = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
NAME, FORM, HEADER, TYPE, LABEL, CHOICES, NOTE, VALIDATION, LOW, HIGH = COLUMNS[:10]
IDENTIFIER, _BRANCHING, REQUIRED, ALIGNMENT, _NUMBER, MATRIX, _RANKING, ANNOTATION = COLUMNS[10:]

TIME_FIELDS: dict[Audience, str] = {"runner": "submitted_at_utc", "clinician": "clinician_at_utc"}
_STAFF_ONLY = "@HIDDEN-SURVEY"
_REOPEN = "Fills itself in (UTC). After a correction: empty it, save, and open the form again."
_FOUND = "1, Present | 0, Absent"
# patient_key links records and notes may hold a name; record_id and submitted_at are needed to read a record at all, so
# they are not flagged: an export without identifiers would be refused.
_IDENTIFIERS = ("patient_key", FREE_TEXT_COLUMN)


def field_name(column: str) -> str:
    """The REDCap field of a single column: ``imaging_xray`` for ``imaging__xray``."""
    return column.replace("__", "_")


def instrument(audience: Audience) -> str:
    """The REDCap instrument of the runner's or the clinician's sheet."""
    return f"{audience}_form"


def redcap_dictionary(audiences: tuple[Audience, ...] = AUDIENCES, number: str | None = None) -> str:
    """The data dictionary as CSV text, one instrument for each of ``audiences``.

    ``number``: the clinic's emergency number for the stop text; None for the general words.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_fields(audiences, number))
    return text.getvalue()


def _fields(audiences: tuple[Audience, ...], number: str | None) -> Iterator[dict[str, str]]:
    first = instrument(audiences[0])
    # REDCap drops a section header above the record identifier, so the stop text is the field after it.
    yield {
        NAME: "record_id",
        FORM: first,
        TYPE: "text",
        LABEL: title(questions()["record_id"]),
        NOTE: "Letters, digits and . _ - only, 64 at most.",
    }
    for audience in audiences:
        yield _stop("opens", audience, number) | {HEADER: wording().sheets[audience]}
        for place, line in enumerate(wording().intro[audience], start=1):
            yield _descriptive(f"intro_{audience}_{place}", audience, line)
        if audience == audiences[0]:
            yield from _record_fields(audiences)
        else:
            yield _time_field(audience)
        for section in sheet(audience).sections:
            yield from _section_fields(sheet(audience), section, number)
        yield _descriptive(
            f"about_{audience}", audience, f"{stop_text().standing} Form version {form_digest()[:12]}, hiptriage."
        )


def _descriptive(name: str, audience: Audience, text: str) -> dict[str, str]:
    return {NAME: name, FORM: instrument(audience), TYPE: "descriptive", LABEL: text}


def _stop(place: str, audience: Audience, number: str | None) -> dict[str, str]:
    return _descriptive(f"stop_{audience}_{place}", audience, stop_text().in_full(audience, number))


def _time_field(audience: Audience) -> dict[str, str]:
    return {
        NAME: TIME_FIELDS[audience],
        FORM: instrument(audience),
        TYPE: "text",
        LABEL: "Time this form was opened (UTC)",
        NOTE: _REOPEN,
        VALIDATION: "datetime_seconds_ymd",
        ANNOTATION: f"@NOW-UTC @HIDEBUTTON {_STAFF_ONLY}",
    }


def _record_fields(audiences: tuple[Audience, ...]) -> Iterator[dict[str, str]]:
    form_name = instrument(audiences[0])
    yield _time_field(audiences[0])
    for question in sheet(audiences[0]).header:
        if question.column == "record_id":
            continue
        row = _single(question) | {FORM: form_name}
        if question.column == "submitted_at":
            row |= {NOTE: "Works itself out.", ANNOTATION: f"@CALCTEXT({_iso_time(audiences)}) {_STAFF_ONLY}"}
        elif question.column == "clinic_id":
            row |= {
                NOTE: "a-z, 0-9 and - only; may stay blank where files are loaded with --clinic.",
                ANNOTATION: _STAFF_ONLY,
            }
        elif question.column == "patient_key":
            row |= {NOTE: "Letters, digits and . _ - only; never a name or a birth date.", ANNOTATION: _STAFF_ONLY}
        yield row


def _iso_time(audiences: tuple[Audience, ...]) -> str:
    """The later of the sheets' times as ISO 8601 with a Z, in REDCap's language of calculations."""
    iso = {name: f"concat(left([{name}], 10), 'T', right([{name}], 8), 'Z')" for name in TIME_FIELDS.values()}
    fields = [TIME_FIELDS[audience] for audience in audiences]
    first = f"if([{fields[0]}] = '', '', {iso[fields[0]]})"
    if len(fields) == 1:
        return first
    earlier, later = fields
    is_later = f"[{earlier}] = '' or datediff([{earlier}], [{later}], 's', 'ymd', true) > 0"
    return f"if([{later}] <> '' and ({is_later}), {iso[later]}, {first})"


def _section_fields(of: Sheet, section: Section, number: str | None) -> Iterator[dict[str, str]]:
    heading = section.title
    for asked in section.asked:
        rows = list(_asked_fields(asked))
        if asked.kind == "findings":  # a matrix has its heading above its first field
            rows[0][HEADER] = f"{heading}: {asked.title}" if heading else asked.title
        else:
            rows[0][HEADER] = heading
        heading = ""
        for row in rows:
            yield row | {FORM: instrument(of.audience)}
        if asked.stop_after:
            yield _stop(f"after_{asked.name}", of.audience, number)


def _asked_fields(asked: Asked) -> Iterator[dict[str, str]]:
    if asked.kind == "single":
        yield _single(asked.question)
    elif asked.kind == "boxes":
        codes = {asked.code(question): asked.label(question) for question in asked.questions}
        yield {
            NAME: asked.name,
            TYPE: "checkbox",
            LABEL: asked.title,
            CHOICES: " | ".join(f"{code}, {label}" for code, label in codes.items()),
            ANNOTATION: f"@NONEOFTHEABOVE='{NONE_OF_THESE}'" if NONE_OF_THESE in codes else "",
        }
    else:
        for question in asked.questions:
            yield {
                NAME: field_name(question.column),
                TYPE: "radio",
                LABEL: asked.label(question),
                CHOICES: _FOUND,
                MATRIX: f"{asked.name}_findings",
            }


def _single(question: Question) -> dict[str, str]:
    row = {NAME: field_name(question.column), LABEL: title(question), NOTE: question.unit}
    if question.column in _IDENTIFIERS:
        row[IDENTIFIER] = "y"
    match question.type:
        case "choice":
            answers = (f"{code}, {wording().answer(question, code)}" for code in question.choices)
            return row | {TYPE: "radio", CHOICES: " | ".join(answers)}
        case "yesno":
            return row | {TYPE: "yesno"}
        case "integer" | "number":
            low, _, high = question.allowed.partition("..")
            limits = {VALIDATION: question.type, LOW: low, HIGH: high, ANNOTATION: "@FORCE-MINMAX"}
            return row | {TYPE: "text"} | limits
        case _ if question.column == FREE_TEXT_COLUMN:
            return row | {TYPE: "notes", ANNOTATION: f"@CHARLIMIT='{NOTES_CHARACTERS}'"}
        case _:
            return row | {TYPE: "text"}
