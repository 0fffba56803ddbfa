"""What an installation and its clinics set: one typed object, from ``settings.toml`` in the home.

Belongs here: names, bounds and defaults of settings. Does not belong here: where the file lies and how it is read
(``warehouse.home``), knowledge (data files under ``schemas`` and ``models``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DataKind = Literal["live", "sample", "published_case"]
PersonRole = Literal["reader", "clinician", "analyst", "manager"]
ALL_CLINICS = "*"
LOCAL_ID = "local"  # whoever sits at the machine while nobody is named (pipelines.page.security.people)
# As schemas.follow_up.NAME, which a decision's name has to match; that module is too heavy for every reader.
PERSON_NAME = r"^[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd} .,'-]{0,63}$"


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


class PageSettings(_Strict):
    """Who reaches the clinicians' page, and how much one of them may ask.

    ``hosts``: host names, without port, that the page answers to beside those of this machine. ``proxy_secret_sha256``:
    SHA-256 of what a reverse proxy sends in ``X-Hiptriage-Proxy``; without it no request is answered. ``proxy_header``:
    where that proxy puts the id of the person it has signed in; empty where people sign in with tokens.
    ``failed_sign_ins``: from one address in a quarter of an hour.
    """

    hosts: tuple[str, ...] = ()
    proxy_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    proxy_secret_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    session_hours: int = Field(default=12, ge=1, le=168)
    requests_a_minute: int = Field(default=600, ge=10, le=1_000_000)
    failed_sign_ins: int = Field(default=20, ge=1, le=1000)

    @field_validator("hosts")
    @classmethod
    def _plain_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(host.lower() for host in hosts)
        if not all(host and set(host) <= _HOST_SIGNS for host in hosts):
            raise ValueError("names without scheme, port or *")
        return hosts

    @model_validator(mode="after")
    def _identity_is_proven(self) -> Self:
        if self.proxy_header and not self.proxy_secret_sha256:
            raise ValueError("proxy_header needs proxy_secret_sha256")
        return self


_HOST_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


class PersonSettings(_Strict):
    """Somebody who may open the clinicians' page.

    ``name``: stands beside their decisions. ``clinics``: those they belong to, or ``*`` alone for all.
    ``token_sha256``: of the token that ``hiptriage token`` made; empty where a proxy signs them in. ``until``: the last
    day (UTC). ``shared``: several people use the token, so it may read and nothing else.
    """

    name: str = Field(max_length=64, pattern=PERSON_NAME)
    role: PersonRole
    clinics: tuple[str, ...] = Field(min_length=1)
    token_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    until: date | None = None
    shared: bool = False

    @field_validator("clinics")
    @classmethod
    def _all_or_some(cls, clinics: tuple[str, ...]) -> tuple[str, ...]:
        if ALL_CLINICS in clinics and len(clinics) > 1:
            raise ValueError("* stands alone")
        return clinics

    @model_validator(mode="after")
    def _shared_reads(self) -> Self:
        if self.shared and self.role != "reader":
            raise ValueError("a shared token may read and not decide: role reader")
        return self


PersonId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$")]


class Settings(_Strict):
    """Settings of one installation: ``settings.toml`` in the home, ``HIPTRIAGE_LOCK_WAIT_SECONDS`` and
    ``HIPTRIAGE_LANDING_SETTLE_SECONDS``.

    ``name``: what alerts and backups call this installation; by default the name of its folder. ``data_kind`` holds for
    files dropped into the landing folder; ``stale_hours`` is the age after which a snapshot is marked stale; snapshots
    are kept if they are among the newest ``snapshots_kept`` or younger than ``snapshot_days``. ``people`` by the id
    that the access log knows them by, or that a proxy gives.
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
    page: PageSettings = PageSettings()
    people: dict[PersonId, PersonSettings] = {}

    @field_validator("people")
    @classmethod
    def _each_their_own(cls, people: Mapping[str, PersonSettings]) -> Mapping[str, PersonSettings]:
        tokens = [person.token_sha256 for person in people.values() if person.token_sha256]
        if len(tokens) != len(set(tokens)):
            raise ValueError("two people with the same token")
        if LOCAL_ID in people:
            raise ValueError(f"{LOCAL_ID} means whoever sits at the machine")
        return people

    def clinic(self, clinic_id: str) -> ClinicSettings:
        """The clinic's settings, or the defaults where it has set none."""
        return self.clinics.get(clinic_id, ClinicSettings())
