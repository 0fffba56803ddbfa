"""``hiptriage alerts``: what deserves an alert now, and a test of the channels."""

from datetime import UTC, datetime

import click

from pipelines.alerting.composing import message, test_alert
from pipelines.alerting.delivery import deliver
from pipelines.alerting.round import name_of, standing
from pipelines.alerting.told import NO_CHANNEL
from pipelines.outcomes import REFUSED, Ended, plain_ends
from warehouse.home import Home


@click.command()
@click.option("--test", "is_test", is_flag=True, help="Send a test alert by every configured channel.")
def alerts(is_test: bool) -> None:
    """Show what deserves an alert now: counts only. Sends nothing but with --test; the services send by themselves."""
    with plain_ends():
        home = Home.from_environment()
        (_send_test if is_test else _show)(home)


def _show(home: Home) -> None:
    from pipelines.alerting.failed_runs import failures_of  # dagster takes seconds to import

    settings, now = home.settings(), datetime.now(UTC)
    with failures_of(home) as failed_between:
        found = standing(home, failed_between, now)
    click.echo(
        message(found, settings, name_of(home), now).text if found else "nothing deserves an alert", nl=not found
    )
    channels = settings.alerts.channels
    click.echo(f"channels: {', '.join(channels)}" if channels else NO_CHANNEL)


def _send_test(home: Home) -> None:
    settings, now = home.settings(), datetime.now(UTC)
    if not settings.alerts.channels:
        raise Ended(REFUSED, NO_CHANNEL)
    test = message([test_alert()], settings, name_of(home), now)
    ended = deliver(dict.fromkeys(settings.alerts.channels, test), settings.alerts)
    for channel, failure in ended.items():
        click.echo(f"{channel}: {failure or 'delivered'}")
    if failed := [channel for channel, failure in ended.items() if failure]:
        raise Ended(REFUSED, f"{len(failed)} of {len(ended)} channels did not take the test")
