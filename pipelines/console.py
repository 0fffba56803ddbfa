"""What people read in a terminal: sentences, the worklist as a table, one record in full.

Belongs here: wording and layout. Does not belong here: which rows (``warehouse.snapshot_reading``), options and exit
codes (``pipelines.commands``). Patients' words never reach this module; what it shows is quoted, never interpreted.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.tiers import tiers
from warehouse.home import Home
from warehouse.snapshot_reading import UNASSIGNED, Snapshot

WIDTH = 100
TIER_WORDS = {
    "emergency": "EMERGENCY",
    "same_day": "SAME DAY",
    "urgent": "URGENT",
    "soon": "soon",
    "routine": "routine",
    "self_care": "self-care",
}
KIND_WORDS = {
    "sample": "SAMPLE DATA: these people are invented.",
    "published_case": "PUBLISHED CASES: people described in case reports, for testing; nobody here waits to be seen.",
}
UNSIGNED = "Tiers, rules and thresholds are not yet signed by a clinician."
INTENDED_USE = (
    "For health professionals, to support a decision and never to replace it. Not for patients to use alone, and "
    "nobody reads a form in real time."
)
UNTESTED = "not tested on this clinic's patients"
LITERATURE = f"weights from published figures, {UNTESTED}"


def console(stream: TextIO | None = None) -> Console:
    """A console as wide as the terminal, or 100 columns where there is none."""
    file = stream or sys.stdout
    return Console(file=file, width=None if file.isatty() else WIDTH, highlight=False, markup=False, emoji=False)


def unread_sentence(snapshot: Snapshot, clinic: str | None = None) -> str:
    """What could not be read, always the first thing said: whole files before forms.

    Of forms also how many hold an emergency answer; of a file that nobody could read not even that is known.
    """
    unread, emergency = snapshot.unread(clinic)
    sentence = f"{forms(unread)} could not be read, {emergency} with an emergency answer."
    unnamed, unnamed_emergency = snapshot.unread(UNASSIGNED)
    if clinic and unnamed:
        sentence += f" {forms(unnamed)} more, {unnamed_emergency} with an emergency answer, name no clinic."
    return _refused_files_sentence(snapshot, clinic) + sentence


def _refused_files_sentence(snapshot: Snapshot, clinic: str | None) -> str:
    """How many files could not be read at all, with a space after it; nothing where there are none."""
    own = snapshot.refused_files(clinic)
    unnamed = snapshot.refused_files(UNASSIGNED) if clinic else 0
    if not (own or unnamed):
        return ""
    of_none = f" ({f'{unnamed} ' if own else ''}from no clinic's folder)" if unnamed else ""
    files = own + unnamed
    counted, them = ("1 file", "it") if files == 1 else (f"{files} files", "them")
    return f"{counted}{of_none} could not be read at all: nobody knows what is in {them}; hiptriage quarantine list. "


def kept_sentence(kept: int) -> str:
    """How many rows the publish gate left their earlier tier."""
    return (
        f"HELD: {kept} {'row keeps its' if kept == 1 else 'rows keep their'} earlier, more urgent tier, because nobody "
        "has let the lower one pass yet"
    )


def forms(count: int) -> str:
    """A number of forms in words."""
    return f"{count} form" if count == 1 else f"{count} forms"


def notices(snapshot: Snapshot, home: Home, clinic: str | None = None) -> list[str]:
    """What stands above every listing: unread forms first, then banner, age, kind of data, and what it rests on."""
    lines = [unread_sentence(snapshot, clinic)]
    if kept := snapshot.kept(clinic):
        lines.append(kept_sentence(kept))
    if snapshot.banner:
        lines.append(snapshot.banner)
    published = f"Snapshot of {local(snapshot.published_at, zone(home, clinic))}."
    if snapshot.stale:
        published += f" STALE: more than {home.settings().stale_hours:g} hours old; new forms are not in it."
    lines.append(published)
    lines += [KIND_WORDS[kind] for kind in snapshot.data_kinds(clinic) if kind in KIND_WORDS]
    lines.append(basis_sentence(snapshot))
    lines.append(UNSIGNED)
    return lines


def basis_sentence(snapshot: Snapshot) -> str:
    """What trained the model, and how far it was tested on this clinic's patients."""
    return f"Model: {snapshot.training.rstrip('.')} ({tested(snapshot.evidence_basis)})."


def tested(evidence_basis: str) -> str:
    """How far the weights were tested, in words; learning from a clinic's outcomes is no test on its patients."""
    if evidence_basis == "literature":
        return LITERATURE
    return (
        f"weights from {evidence_basis.replace('literature+outcomes', 'published figures and outcomes ')}, {UNTESTED}"
    )


def zone(home: Home, clinic: str | None) -> ZoneInfo:
    """The zone of a clinic's clock; UTC where several clinics are shown at once."""
    return ZoneInfo(home.settings().clinic(clinic).zone if clinic else "UTC")


def local(moment: datetime | None, at: ZoneInfo) -> str:
    """A moment as people of that zone write it, with the zone's name."""
    return moment.astimezone(at).strftime("%Y-%m-%d %H:%M %Z") if moment else "no time set"


def words(identifier: str) -> str:
    """An id as words."""
    return identifier.replace("_", " ")


def visible(text: str | None) -> str:
    """Text of a stranger's file with every control sign made visible, so that a terminal cannot be driven by it."""
    shown = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text or "")
    return "".join(shown)


def worklist_table(rows: Iterable[Mapping[str, Any]], home: Home, clinic: str | None) -> Table:
    """The worklist as a table of 100 columns: place, tier, record, facts, when, why, and whether a person must look."""
    table = Table(show_lines=True, expand=True, pad_edge=False, box=box.HORIZONTALS)
    table.add_column("", width=4)
    table.add_column("tier", width=max(map(len, TIER_WORDS.values())))
    for title, ratio in (("record", 14), ("facts", 20), ("see by", 13), ("why", 37)):
        table.add_column(title, ratio=ratio, overflow="fold")
    for row in rows:
        at = zone(home, clinic or row["clinic_id"])
        record = row["record_id"] if clinic else f"{row['clinic_id']}/{row['record_id']}"
        urgent = tiers()[row["effective_tier"]].rank <= tiers()["urgent"].rank
        table.add_row(
            str(row["place"]),
            Text(TIER_WORDS[row["effective_tier"]], style="bold" if urgent else ""),
            Text(record),
            Text(row["headline"] or ""),
            _see_by(row, at),
            _why(row),
        )
    return table


def _why(row: Mapping[str, Any]) -> Text:
    why = Text(row["tier_reason"] or "")
    if row["needs_review"]:
        why.append("\nREVIEW", style="bold").append(f": {row['review_reason'] or 'a person must look'}")
    return why


def _see_by(row: Mapping[str, Any], at: ZoneInfo) -> Text:
    if row["effective_tier"] == "emergency":
        return Text("NOW, emergency department", style="bold")
    text = local(datetime.fromisoformat(row["see_by"]) if row["see_by"] else None, at)
    return Text(f"OVERDUE {text}", style="bold") if row["overdue"] else Text(text)


def result_table(columns: list[str], rows: Iterable[tuple[Any, ...]]) -> Table:
    """Any result as a table; times in UTC."""
    table = Table(show_lines=False, pad_edge=False)
    for column in columns:
        table.add_column(Text(visible(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return "" if value is None else visible(str(value))
