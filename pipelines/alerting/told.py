"""What each channel was told already, and what it is due to be told now.

Belongs here: the state that goes into the sensor's cursor, and the report of the last look that ``hiptriage doctor``
reads. Each channel has a state of its own, so that one that fails is told again and the others are not. Does not belong
here: what is wrong (``pipelines.alerting.composing``), sending (``pipelines.alerting.delivery``).

Privacy: ids of snapshots and clinics, times and counts; no key of a record.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipelines.alerting.composing import Alert
from warehouse.finding import Finding
from warehouse.home import Home, SettingsRefused

DAY = timedelta(days=1)
REPORT = "alerts.json"
SILENT_LOOKS = 20  # after so many looks that should have been, nobody is looking any more
NO_CHANNEL = "no alert channel is configured: nobody is told of new emergencies (docs/operations.md, Alerts)"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class Told(_Kept):
    """When something that still holds was told last, and with which count (the lowest since)."""

    at: AwareDatetime
    count: Annotated[int, Field(ge=0)]


class ChannelState(_Kept):
    """What one channel knows: the snapshot told last, failures up to when, and what still holds."""

    snapshot: str = ""
    failures_until: AwareDatetime | None = None
    told: Mapping[str, Told] = {}


class State(_Kept):
    """All channels by name, and who has held the warehouse since when, as far as the looks saw it."""

    channels: Mapping[str, ChannelState] = {}
    busy: str = ""
    busy_since: AwareDatetime | None = None

    @classmethod
    def read(cls, cursor: str | None) -> "State":
        """The state in a cursor; the beginning where there is none or somebody wrote something else into it."""
        try:
            return cls.model_validate_json(cursor) if cursor else cls()
        except ValidationError:
            return cls()

    def with_busy(self, busy: str, now: datetime) -> "State":
        """The state after a look that found the warehouse held by ``busy``, or free ('')."""
        since = self.busy_since if busy and busy == self.busy and self.busy_since else now if busy else None
        return self.model_copy(update={"busy": busy, "busy_since": since})


def failures_since(state: ChannelState, now: datetime) -> datetime:
    """From when on failures are news to a channel: since it was told last, at most of the last day."""
    until = state.failures_until
    # A time ahead of us comes of a clock that was wrong.
    return until if until and now - DAY < until <= now else now - DAY


def due(state: ChannelState, alerts: Iterable[Alert], now: datetime, repeat: timedelta) -> list[Alert]:
    """What the channel has not been told, or more of what it was told, or once more after ``repeat`` (or a day)."""
    return [alert for alert in alerts if alert.once or _is_due(state.told.get(alert.key), alert, now, repeat)]


def after(
    state: ChannelState, alerts: Iterable[Alert], sent: Iterable[Alert], *, snapshot: str, now: datetime
) -> ChannelState:
    """The state of a channel that got ``sent`` of all ``alerts``; what ceased is forgotten: next time it is news."""
    delivered = {alert.key for alert in sent}
    told = {}
    for alert in alerts:
        if alert.once:
            continue
        if alert.key in delivered:
            told[alert.key] = Told(at=now, count=alert.count)
        elif before := state.told.get(alert.key):
            told[alert.key] = Told(at=before.at, count=min(before.count, alert.count))
    return ChannelState(snapshot=snapshot or state.snapshot, failures_until=now, told=told)


def _is_due(told: Told | None, alert: Alert, now: datetime, repeat: timedelta) -> bool:
    if told is None or alert.count > told.count or told.at > now:
        return True
    return now - told.at >= (repeat if alert.urgent else max(repeat, DAY))


@dataclass(frozen=True, slots=True)
class Report:
    """The last look: when, and what went wrong by channel; empty where every channel took what it was given."""

    looked_at: datetime
    failures: Mapping[str, str] = field(default_factory=dict)


def write_report(home: Home, report: Report) -> None:
    """Keep the report of a look in the home, in place of the one before."""
    half = home.root / f".half-{REPORT}"
    said = {"looked_at": report.looked_at.astimezone(UTC).isoformat(), "failures": dict(report.failures)}
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(said, file)
    half.replace(home.root / REPORT)


def findings(home: Home, now: datetime | None = None) -> Iterator[Finding]:
    """For ``hiptriage doctor``: whether anybody is told, whether the sensor looks, and what could not be delivered.

    Says nothing where the settings cannot be used: that is a finding of its own.
    """
    try:
        settings = home.settings()
    except SettingsRefused:
        return
    if not settings.alerts.channels:
        yield Finding("note", NO_CHANNEL)
        return
    now = now or datetime.now(UTC)
    try:
        said = json.loads((home.root / REPORT).read_text("utf-8"))
        report = Report(datetime.fromisoformat(said["looked_at"]), dict(said["failures"]))
    except (OSError, ValueError, KeyError, TypeError):
        yield Finding("note", "alerts are configured and were never looked at: start the services (hiptriage dev)")
        return
    looks = timedelta(seconds=SILENT_LOOKS * settings.automation.alert_seconds)
    if now - report.looked_at > looks:
        yield Finding(
            "wrong", f"nobody has looked for alerts since {report.looked_at:%Y-%m-%d %H:%M} UTC: start the services"
        )
    for channel, failure in sorted(report.failures.items()):
        yield Finding("wrong", f"alerts do not get out by {channel}: {failure}")
    if now - report.looked_at <= looks and not report.failures:
        yield Finding("ok", f"alerts go out by {', '.join(settings.alerts.channels)}")
