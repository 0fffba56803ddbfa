"""What has to stand beside a row because the row itself does not say it (yet).

Belongs here: one line for each form or other row of the record that could not be read, for each safety concern that
somebody reported about it, and for each entry that waits. Does not belong here: finding unread forms and entries
(``pipelines.page.lists.unread``, ``pipelines.page.entry_forms.entries``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.page.entry_forms.entries import Pending
from pipelines.page.entry_forms.entry_words import in_words
from pipelines.page.lists.unread import AllUnread, Unread, of_record, tier_words
from warehouse.open_snapshots import Reading

_CONCERNS = """
    SELECT clinic_id, record_id, list(DISTINCT concern ORDER BY concern) FROM safety_concerns
    WHERE record_id IS NOT NULL GROUP BY clinic_id, record_id
"""
_OF_RECORD = "SELECT DISTINCT concern FROM safety_concerns WHERE clinic_id = ? AND record_id = ? ORDER BY concern"


def remarks(
    row: Mapping[str, Any], reading: Reading, entered: Mapping[str, Sequence[Pending]], not_read: AllUnread
) -> list[str]:
    """The lines beside one row of ``referrals``; ``entered``: what waits of its clinic, by record."""
    key = row["clinic_id"], row["record_id"]
    return [
        *map(_not_in_the_row, not_read.of_record.get(key, ())),
        *map(_concern, _concerns(reading).get(key, ())),
        *(one.sentence for one in entered.get(row["record_id"], ())),
    ]


def remarks_on(connection: Any, clinic: str, record: str, entered: Sequence[Pending]) -> list[str]:
    """The same of one record, read for it alone. ``connection``: over its clinic."""
    return [
        *map(_not_in_the_row, of_record(connection, clinic, record)),
        *concerns_about(connection, clinic, record),
        *(one.sentence for one in entered),
    ]


def concerns_about(connection: Any, clinic: str, record: str) -> list[str]:
    """A line for each kind of safety concern that was reported about one record and published."""
    return [_concern(concern) for (concern,) in connection.execute(_OF_RECORD, [clinic, record]).fetchall()]


def _concerns(reading: Reading) -> Mapping[tuple[str, str], Sequence[str]]:
    if "concerns" not in reading.kept:
        found = reading.cursor.execute(_CONCERNS).fetchall()
        reading.kept["concerns"] = {(clinic, record): concerns for clinic, record, concerns in found}
    concerns: Mapping[tuple[str, str], Sequence[str]] = reading.kept["concerns"]
    return concerns


def _concern(code: str) -> str:
    return f"safety concern reported: {in_words('concern', code)}"


def _not_in_the_row(one: Unread) -> str:
    if one.what == "form":
        what = "a form of this record could not be read and is not in what stands here"
        return f"{what}, possible tier: {tier_words(one)}"
    return f"{one.what} on this record could not be taken in and changes nothing"
