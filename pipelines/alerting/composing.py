"""What deserves an alert, and in which words: pure, from facts to sentences.

Belongs here: kinds, wording, order. Does not belong here: finding the facts (``pipelines.alerting.facts``,
``pipelines.alerting.failed_runs``), what was told before (``pipelines.alerting.told``), sending
(``pipelines.alerting.delivery``).

Privacy: counts, clinic ids, names of jobs and steps. Counts are exact, also small ones: they go to the staff who
treat these people, who need to know whether it is one emergency or three; the worklist they are sent to says the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from warehouse.emergencies import waiting_too_long
from warehouse.settings import Settings
from warehouse.snapshot_reading import UNASSIGNED

Kind = Literal[
    "new_emergency",
    "unacknowledged_emergency",
    "safety_concern",
    "unread_forms",
    "snapshot",
    "warehouse",
    "publication_held",
    "failed_runs",
    "files_left",
    "files_waiting",
    "never_read",
    "tiers_held",
    "test",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
CLOCK_SLACK = timedelta(minutes=5)  # times that lie further ahead than this come of a clock that was wrong
PURPOSE = "No patient is named here. For health professionals; not for patients to use alone."


@dataclass(frozen=True, slots=True)
class ClinicFacts:
    """What the current snapshot says of one clinic (``_unassigned``: forms that name none).

    ``open_since``: since when each emergency row that nobody acknowledged has been here. ``unread`` forms, of which
    ``unread_emergency`` hold an emergency answer. ``kept``: rows whose lower tier the publish gate holds back.
    """

    clinic: str
    open_since: tuple[datetime, ...] = ()
    unread: int = 0
    unread_emergency: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """What failed in Dagster: how often, by 'job, step' or by sensor or schedule; ``held``: further runs that failed
    at their publication. ``left``: files of the landing folder that the last look at it had left lying for long.
    """

    counts: Mapping[str, int]
    held: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found. Times in UTC.

    ``published_at``: of the current snapshot, None where there is none. ``snapshot_problem`` and ``warehouse_problem``:
    a plain sentence where it cannot be read, or is held for too long. ``damaged``: clinics whose published files cannot
    be opened. ``new_emergencies`` and ``new_concerns``: by clinic, how many the table told last did not show; safety
    concerns that could not be read are among them. ``waiting``: files that were taken in and not loaded for long.
    ``never_read``: entries of the landing folder that no run will ever read. ``failed``: how often since the last
    alert, by job and step or by sensor. ``held``: runs since then whose publication failed. ``left``: files of the
    landing folder that cannot be taken in.
    """

    published_at: datetime | None = None
    stale: bool = False
    snapshot_problem: str = ""
    clinics: tuple[ClinicFacts, ...] = ()
    damaged: tuple[str, ...] = ()
    new_emergencies: Mapping[str, int] = field(default_factory=dict)
    new_concerns: Mapping[str, int] = field(default_factory=dict)
    warehouse_problem: str = ""
    waiting: int = 0
    never_read: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    held: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong, of one clinic or ('') of the whole installation.

    ``urgent``: repeated after ``repeat_minutes``, else once a day. ``once``: something that happened, told one time,
    not something that holds.
    """

    kind: Kind
    clinic: str
    count: int
    sentence: str
    what_to_do: str
    urgent: bool = True
    once: bool = False

    @property
    def key(self) -> str:
        """Names the alert among those that were told."""
        return f"{self.kind}:{self.clinic}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a subject, the text, and the same as an object for a webhook."""

    subject: str
    text: str
    body: Mapping[str, Any]


def compose(facts: Facts, settings: Settings, now: datetime) -> list[Alert]:
    """All that deserves an alert, most urgent first."""
    alerts = [
        *_new_emergencies(facts),
        *_new_concerns(facts),
        *(alert for clinic in facts.clinics for alert in _of_clinic(clinic, settings, now)),
        *_snapshot(facts, settings, now),
        *_services(facts),
    ]
    return sorted(alerts, key=lambda alert: (not alert.urgent, KINDS.index(alert.kind), alert.clinic))


def test_alert() -> Alert:
    """What ``hiptriage alerts --test`` sends."""
    return Alert("test", "", 1, "this is a test of the alerts", "nothing: it arrived", once=True)


def message(alerts: Iterable[Alert], settings: Settings, installation: str, now: datetime) -> Message:
    """The alerts in words. Times stand in the zone of the clinic, UTC where an alert is about no single one."""
    told = list(alerts)
    lines = [_line(alert, settings, now) for alert in told]
    subject = f"hiptriage {installation}: {told[0].sentence}" + (f", and {len(told) - 1} more" if told[1:] else "")
    body = {
        "installation": installation,
        "sent_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "alerts": [
            {
                "kind": alert.kind,
                "clinic": _shown_clinic(alert.clinic) or None,
                "count": alert.count,
                "sentence": alert.sentence,
                "what_to_do": alert.what_to_do,
                "urgent": alert.urgent,
            }
            for alert in told
        ],
    }
    text = "\n".join([f"hiptriage, installation {installation}", *lines, PURPOSE]) + "\n"
    return Message(subject, text, body | {"text": text})


def _line(alert: Alert, settings: Settings, now: datetime) -> str:
    zone = ZoneInfo(settings.clinic(alert.clinic).zone if alert.clinic else "UTC")
    where = f"{_shown_clinic(alert.clinic)}, " if alert.clinic else ""
    return f"[{where}{now.astimezone(zone):%Y-%m-%d %H:%M %Z}] {alert.sentence}. Do: {alert.what_to_do}"


def _shown_clinic(clinic: str) -> str:
    return "no clinic named" if clinic == UNASSIGNED else clinic


def _new_emergencies(facts: Facts) -> list[Alert]:
    return [
        Alert(
            "new_emergency",
            clinic,
            count,
            f"{_many(count, 'new emergency row')}",
            f"hiptriage worklist --clinic {clinic} --tier emergency",
            once=True,
        )
        for clinic, count in facts.new_emergencies.items()
        if count
    ]


def _new_concerns(facts: Facts) -> list[Alert]:
    do = (
        'hiptriage sql "SELECT * FROM safety_concerns ORDER BY received_at DESC"; those that could not be read: '
        "hiptriage quarantine list"
    )
    return [
        Alert("safety_concern", clinic, count, f"{_many(count, 'new safety concern')} reported", do, once=True)
        for clinic, count in facts.new_concerns.items()
        if count
    ]


def _of_clinic(facts: ClinicFacts, settings: Settings, now: datetime) -> list[Alert]:
    minutes = settings.clinic(facts.clinic).acknowledge_minutes
    late = len(waiting_too_long(sorted(facts.open_since), now, minutes))
    alerts = []
    if late:
        sentence = f"{_many(late, 'emergency row')} not acknowledged for more than {minutes} minutes"
        do = f"hiptriage worklist --clinic {facts.clinic} --tier emergency; then send the decision file"
        alerts.append(Alert("unacknowledged_emergency", facts.clinic, late, sentence, do))
    if facts.unread:
        sentence = f"{_many(facts.unread, 'form')} could not be read, {facts.unread_emergency} with an emergency answer"
        alerts.append(
            Alert(
                "unread_forms",
                facts.clinic,
                facts.unread,
                sentence,
                "hiptriage quarantine list, and read the forms themselves",
                urgent=facts.unread_emergency > 0,
            )
        )
    if facts.kept:
        sentence = f"{_many(facts.kept, 'row')} kept at an earlier, more urgent tier by the publish gate"
        do = "look at what changed, then the job publish_with_override"
        alerts.append(Alert("tiers_held", facts.clinic, facts.kept, sentence, do, urgent=False))
    return alerts


def _snapshot(facts: Facts, settings: Settings, now: datetime) -> list[Alert]:
    if facts.snapshot_problem:
        return [Alert("snapshot", "", 1, facts.snapshot_problem, "hiptriage doctor")]
    do = "hiptriage doctor; hiptriage run publishes anew"
    alerts = [Alert("snapshot", clinic, 1, "the published table cannot be opened", do) for clinic in facts.damaged]
    if facts.published_at and facts.published_at > now + CLOCK_SLACK:
        sentence = "the worklist was published at a time that is still to come: a clock is wrong"
        alerts.append(Alert("snapshot", "", 1, sentence, "set the clock of this machine, then hiptriage run"))
    elif facts.stale:
        sentence = (
            f"the worklist is stale: published more than {settings.stale_hours:g} hours ago, new forms are not in it"
        )
        alerts.append(Alert("snapshot", "", 1, sentence, do))
    return alerts


def _services(facts: Facts) -> list[Alert]:
    look = "look at Runs and Automation in the Dagster UI (hiptriage dev)"
    alerts = []
    if facts.warehouse_problem:
        alerts.append(Alert("warehouse", "", 1, facts.warehouse_problem, "hiptriage doctor"))
    if facts.held:
        sentence = f"{_many(facts.held, 'publication')} held back or failed: the worklist is the one of before"
        alerts.append(Alert("publication_held", "", facts.held, sentence, look, once=True))
    if failed := sum(facts.failed.values()):
        named = ", ".join(f"{name} {count}" for name, count in sorted(facts.failed.items()))
        alerts.append(Alert("failed_runs", "", failed, f"{_many(failed, 'run')} failed ({named})", look, once=True))
    if facts.left:
        sentence = f"{_many(facts.left, 'file')} of the landing folder still not taken in"
        do = "mend their permissions, or put them into landing/<clinic>/ where they name no clinic"
        alerts.append(Alert("files_left", "", facts.left, sentence, do))
    if facts.waiting:
        sentence = f"{_many(facts.waiting, 'file')} taken in and still not loaded"
        alerts.append(Alert("files_waiting", "", facts.waiting, sentence, "hiptriage run, or start the job intake"))
    if facts.never_read:
        sentence = (
            f"{facts.never_read} entries of the landing folder are never read: links, folders not named as a clinic or "
            "lying deeper"
        )
        do = "put the files into landing/<clinic>/ (1-32 of a-z 0-9 -)"
        alerts.append(Alert("never_read", "", facts.never_read, sentence, do))
    return alerts


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
