"""What an installation and its clinics set: one typed object, from ``settings.toml`` in the home.

Belongs here: names, bounds and defaults of settings. Does not belong here: where the file lies and how it is read
(``warehouse.home``), knowledge (data files under ``schemas`` and ``models``).
"""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DataKind = Literal["live", "sample", "published_case"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClinicSettings(_Strict):
    """What one clinic sets: zone of its clock, telephone, the wait it calls routine (weeks).

    ``acknowledge_minutes``: how long an emergency row may stand unacknowledged before it is called out.
    """

    zone: str = "UTC"
    phone: str = ""
    routine_weeks: int = Field(default=18, ge=1, le=52)
    acknowledge_minutes: int = Field(default=60, ge=1, le=10_080)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("no such time zone") from None
        return zone


class AutomationSettings(_Strict):
    """How often the services look (seconds), and when they work by the clock (cron, UTC).

    ``waiting_minutes``: a file or batch that waits longer than that is called out. ``retrain_outcomes``: that many
    new confirmed outcomes ask for a training at once; 0 asks for none.
    """

    landing_seconds: int = Field(default=30, ge=1, le=3600)
    following_seconds: int = Field(default=30, ge=1, le=3600)
    alert_seconds: int = Field(default=60, ge=1, le=3600)
    waiting_minutes: int = Field(default=60, ge=1, le=10_080)
    reconcile_cron: str = "*/15 * * * *"
    retrain_cron: str = "0 3 1 * *"
    retrain_outcomes: int = Field(default=50, ge=0)
    purge_cron: str = "30 2 * * *"
    checks_cron: str = "20 * * * *"
    monitoring_cron: str = "0 5 * * *"


class RetentionSettings(_Strict):
    """How long things are kept, in days; None keeps them for ever.

    ``archive_days``: bytes of files whose records are all taken in, without which nothing can be replayed.
    ``run_days``: runs of Dagster with their events and captured output. ``access_log_days``: who opened which record.
    """

    archive_days: int | None = Field(default=None, ge=30)
    run_days: int | None = Field(default=365, ge=1)
    access_log_days: int | None = Field(default=365, ge=1)


class MailSettings(_Strict):
    """Where alerts are mailed to; the password, if any, is in ``HIPTRIAGE_SMTP_PASSWORD``.

    ``user``: only with ``starttls``, so that no password crosses a network in the clear.
    """

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    sender: str
    to: tuple[str, ...] = Field(min_length=1)
    user: str = ""
    starttls: bool = True

    @model_validator(mode="after")
    def _password_is_covered(self) -> Self:
        if self.user and not self.starttls:
            raise ValueError("a user needs starttls")
        return self


THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class AlertSettings(_Strict):
    """Where alerts go: a command (its words; the alert comes on its input), a webhook, mail; any of them or none.

    ``webhook``: an address that begins with https, or with http on this machine. ``repeat_minutes``: after which time
    an alert that still holds is sent again.
    """

    command: tuple[str, ...] = ()
    webhook: str = ""
    mail: MailSettings | None = None
    repeat_minutes: int = Field(default=60, ge=1, le=10_080)

    @field_validator("webhook")
    @classmethod
    def _closed_to_others(cls, webhook: str) -> str:
        address = urlsplit(webhook)
        is_closed = address.scheme == "https" or (address.scheme == "http" and address.hostname in THIS_MACHINE)
        if webhook and not (address.hostname and is_closed):
            raise ValueError("https, or http on this machine")
        return webhook

    @property
    def channels(self) -> tuple[str, ...]:
        """The ways that are set, of command, webhook and mail."""
        given = {"command": self.command, "webhook": self.webhook, "mail": self.mail}
        return tuple(name for name, value in given.items() if value)


class Settings(_Strict):
    """Settings of one installation: ``settings.toml`` in the home, ``HIPTRIAGE_LOCK_WAIT_SECONDS`` and
    ``HIPTRIAGE_LANDING_SETTLE_SECONDS``.

    ``name``: what alerts and backups call this installation; by default the name of its folder. ``data_kind`` holds for
    files dropped into the landing folder; ``stale_hours`` is the age after which a snapshot is marked stale; snapshots
    are kept if they are among the newest ``snapshots_kept`` or younger than ``snapshot_days``.
    """

    name: str = Field(default="", max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")
    clinics: dict[str, ClinicSettings] = {}
    data_kind: DataKind = "live"
    lock_wait_seconds: float = Field(default=300, ge=0, le=3600)
    landing_settle_seconds: float = Field(default=2, ge=0, le=3600)
    snapshots_kept: int = Field(default=10, ge=1)
    snapshot_days: int = Field(default=30, ge=0)
    stale_hours: float = Field(default=12, gt=0)
    automation: AutomationSettings = AutomationSettings()
    retention: RetentionSettings = RetentionSettings()
    alerts: AlertSettings = AlertSettings()

    def clinic(self, clinic_id: str) -> ClinicSettings:
        """The clinic's settings, or the defaults where it has set none."""
        return self.clinics.get(clinic_id, ClinicSettings())
