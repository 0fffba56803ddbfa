"""One installation's folder and settings: where its files lie, and what its clinics set.

Belongs here: paths and settings. Does not belong here: knowledge (data files under ``schemas`` and ``models``).
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

DataKind = Literal["live", "sample", "published_case"]
PACKAGE = Path(__file__).resolve().parent
DEFAULT_HOME = PACKAGE / "state"
DEMO_HOME = PACKAGE / "demo"


class SettingsRefused(Exception):
    """The settings file cannot be used; the message names the field, never a value."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClinicSettings(_Strict):
    """What one clinic sets: zone of its clock, telephone, and the wait it calls routine (weeks)."""

    zone: str = "UTC"
    phone: str = ""
    routine_weeks: int = Field(default=18, ge=1, le=52)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("no such time zone") from None
        return zone


class Settings(_Strict):
    """Settings of one installation: ``settings.toml`` in the home, and ``HIPTRIAGE_LOCK_WAIT_SECONDS``.

    ``data_kind`` holds for files dropped into the landing folder; ``stale_hours`` is the age after which a snapshot
    is marked stale; snapshots are kept if they are among the newest ``snapshots_kept`` or younger than
    ``snapshot_days``.
    """

    clinics: dict[str, ClinicSettings] = {}
    data_kind: DataKind = "live"
    lock_wait_seconds: float = Field(default=60, ge=0, le=3600)
    snapshots_kept: int = Field(default=10, ge=1)
    snapshot_days: int = Field(default=30, ge=0)
    stale_hours: float = Field(default=12, gt=0)

    def clinic(self, clinic_id: str) -> ClinicSettings:
        """The clinic's settings, or the defaults where it has set none."""
        return self.clinics.get(clinic_id, ClinicSettings())


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all state of one installation; two homes never meet."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The home that ``HIPTRIAGE_HOME`` names, else the state folder beside this package."""
        named = os.environ.get("HIPTRIAGE_HOME")
        return cls(Path(named).expanduser().resolve() if named else DEFAULT_HOME)

    @property
    def landing(self) -> Path:
        """Where clinics drop files: ``landing/<clinic>/`` or, for files that name their clinics, ``landing/``."""
        return self.root / "landing"

    @property
    def archive(self) -> Path:
        """The bytes of every file taken in, named by their SHA-256."""
        return self.root / "archive"

    @property
    def mappings(self) -> Path:
        """Mapping files: ``mappings/<clinic>/`` or, for files that name their clinics, ``mappings/``."""
        return self.root / "mappings"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that one process at a time may open."""
        return self.root / "warehouse.duckdb"

    @property
    def models(self) -> Path:
        """Trained models, one folder a version, and the pointer to the one in force."""
        return self.root / "models"

    @property
    def snapshots(self) -> Path:
        """Published snapshots, one folder each, and the pointer to the current one."""
        return self.root / "snapshots"

    @property
    def quarantine_copy(self) -> Path:
        """The analysts' copy of the quarantine, readable by the account that runs the pipeline only."""
        return self.root / "quarantine.duckdb"

    @property
    def dagster(self) -> Path:
        """Dagster's instance folder."""
        return self.root / "dagster"

    def ensure(self) -> None:
        """Create the folders, open to the owner alone."""
        for folder in (self.root, self.landing, self.archive, self.mappings, self.models, self.snapshots, self.dagster):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def settings(self) -> Settings:
        """The settings of this home. Raises SettingsRefused naming the fields at fault."""
        file = self.root / "settings.toml"
        try:
            values = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
            wait = os.environ.get("HIPTRIAGE_LOCK_WAIT_SECONDS")
            return Settings.model_validate(values | ({"lock_wait_seconds": wait} if wait else {}))
        except ValidationError as error:
            fields = sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()})
            raise SettingsRefused(f"settings.toml cannot be used: check {', '.join(fields)}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise SettingsRefused("settings.toml cannot be used: it is not valid TOML") from None
