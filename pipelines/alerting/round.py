"""One look for alerts: find, compose, send what is due, and remember what each channel took.

Belongs here: the order of these, for the sensor and the command alike. Does not belong here: each of them
(the other modules of this package).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipelines.alerting.composing import Alert, Failed, compose, message
from pipelines.alerting.delivery import deliver
from pipelines.alerting.facts import Looked, look, new_concerns, new_emergencies
from pipelines.alerting.told import ChannelState, Report, State, after, due, failures_since, write_report
from warehouse.home import Home
from warehouse.settings import Settings

BUSY_MINUTES = 30  # nobody has a reason to hold the warehouse for longer; years of history take minutes
FailedBetween = Callable[[datetime, datetime], Failed]


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a look: the state to keep, alerts sent by channel, and why a channel failed."""

    state: State
    sent: Mapping[str, int]
    failures: Mapping[str, str]


def look_and_send(home: Home, failed_between: FailedBetween, state: State, now: datetime) -> Round:
    """Tell every configured channel what it is due to be told.

    A channel that fails keeps its state, and is told the same and what came since at the next look. Raises
    SettingsRefused.
    """
    settings = home.settings()
    looked = look(home, now)
    state = state.with_busy(looked.busy, now)
    looked = replace(looked, facts=replace(looked.facts, warehouse_problem=_problem(looked, state, now)))
    repeat = timedelta(minutes=settings.alerts.repeat_minutes)
    of_channel = {
        channel: _alerts(home, looked, failed_between, settings, state.channels.get(channel, ChannelState()), now)
        for channel in settings.alerts.channels
    }
    owed = {
        channel: due(state.channels.get(channel, ChannelState()), alerts, now, repeat)
        for channel, alerts in of_channel.items()
    }
    messages = {channel: message(alerts, settings, name_of(home), now) for channel, alerts in owed.items() if alerts}
    ended = deliver(messages, settings.alerts) if messages else {}
    failures = {channel: why for channel, why in ended.items() if why}
    channels = {
        channel: state.channels.get(channel, ChannelState())
        if channel in failures
        else after(
            state.channels.get(channel, ChannelState()), alerts, owed[channel], snapshot=looked.snapshot_id, now=now
        )
        for channel, alerts in of_channel.items()
    }
    write_report(home, Report(now, failures))
    sent = {channel: len(owed[channel]) for channel in messages if channel not in failures}
    return Round(state.model_copy(update={"channels": channels}), sent, failures)


def standing(home: Home, failed_between: FailedBetween, now: datetime) -> list[Alert]:
    """All that a channel that was never told anything would be told now. Raises SettingsRefused."""
    return _alerts(home, look(home, now), failed_between, home.settings(), ChannelState(), now)


def name_of(home: Home) -> str:
    """What the installation is called: as its settings say, else as its folder is called. Raises SettingsRefused."""
    return home.settings().name or home.root.name


def _alerts(
    home: Home,
    looked: Looked,
    failed_between: FailedBetween,
    settings: Settings,
    state: ChannelState,
    now: datetime,
) -> list[Alert]:
    failed = failed_between(failures_since(state, now), now)
    facts = replace(
        looked.facts,
        new_emergencies=new_emergencies(home, state.snapshot),
        new_concerns=new_concerns(home, state.snapshot),
        failed=failed.counts,
        held=failed.held,
        left=failed.left,
    )
    return compose(facts, settings, now)


def _problem(looked: Looked, state: State, now: datetime) -> str:
    if looked.busy and state.busy_since and now - state.busy_since > timedelta(minutes=BUSY_MINUTES):
        return f"nothing can be taken in or published: {looked.busy}"
    return looked.facts.warehouse_problem
