"""A record in full: everything one referral rests on, in the order in which a clinician reads it.

Belongs here: putting the page together. Does not belong here: what stands in its parts
(``pipelines.page.records.record_sections``), the printed sheet (``pipelines.page.records.referral_print``), asking what
one more answer would change (``pipelines.page.records.what_if``).
"""

from starlette.responses import Response
from starlette.routing import Route

from pipelines.console import tested
from pipelines.differential_words import NO_MODEL, NOT_FOR_CHILDREN, groups, is_child, name_of
from pipelines.page.entry_forms import entries
from pipelines.page.lists import unread
from pipelines.page.lists.remarks import concerns_about
from pipelines.page.lists.row_words import marks
from pipelines.page.records import record_sections, referral_print, what_if
from pipelines.page.records.answers_shown import answers_shown
from pipelines.page.records.record_reading import reading_of
from pipelines.page.records.validation import validated
from pipelines.page.rendering import page
from pipelines.page.security import access
from pipelines.page.sensitive import WITHHELD, disclosed
from pipelines.page.visit import Visit, shown_to
from schemas.forms.wording import stop_text
from warehouse import answers_copy


@shown_to("worklist")
def record(visit: Visit) -> Response:
    """One record of one clinic. Raises HTTPException 404 for one of another clinic as for none."""
    sensitive = visit.person.may("answers")
    with reading_of(visit, visit.query.get("record")) as (connection, record):
        access.note(visit, "record", clinic=record.row["clinic_id"], record=record.row["record_id"])
        entry = entries.shown_for(visit, connection, record.row)
        concerns = concerns_about(connection, record.row["clinic_id"], record.row["record_id"])
        not_read = unread.of_record(connection, record.row["clinic_id"], record.row["record_id"])
    row = disclosed(record.row, answers=sensitive)
    stated = answers_copy.stated(visit.home, row["clinic_id"], row["record_id"], row["intake_hash"])
    return page(
        visit,
        "record.html",
        record=record,
        row=row,
        withheld="" if sensitive else WITHHELD,
        when=record_sections.when(row),
        not_read=not_read,
        concerns=concerns,
        unread_tier=unread.tier_words,
        overdue=record_sections.is_overdue(row, visit.now),
        marks=marks(row),
        phone=visit.settings.clinic(row["clinic_id"]).phone,
        fired=record_sections.fired(record, row),
        stated_earlier=record_sections.stated_earlier(record, row),
        rules=record_sections.rules_by_result(record, row),
        stop=stop_text(),
        groups=list(groups(row)),
        child=is_child(row),
        no_model=NO_MODEL,
        not_for_children=NOT_FOR_CHILDREN,
        conditions=record_sections.conditions(record, row),
        tested=tested(row["evidence_basis"]),
        ask=what_if.questions_on(row, stated, visit.person),
        factors=[name_of(factor, record.names) for factor in row["contributing_factors"] or []],
        advice=record_sections.advice(record, row),
        answers=answers_shown(stated.answers, stated.carried, sensitive=sensitive) if stated else None,
        notes=stated.notes if stated and sensitive else None,
        sees_notes=sensitive,
        validated=validated(visit.home, row),
        entry=entry,
    )


routes = [Route("/record", record), *referral_print.routes, *what_if.routes]
