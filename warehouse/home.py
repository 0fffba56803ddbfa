"""One installation's folder: where its files lie, and its settings read.

Belongs here: paths, and reading ``settings.toml``. Does not belong here: what can be set (``warehouse.settings``).
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from warehouse.settings import Settings

PACKAGE = Path(__file__).resolve().parent
DEFAULT_HOME = PACKAGE / "state"
DEMO_HOME = PACKAGE / "demo"
# Settings that the environment may set for one process, as HIPTRIAGE_<NAME>.
FROM_ENVIRONMENT = ("lock_wait_seconds", "landing_settle_seconds")


class SettingsRefused(Exception):
    """The settings file cannot be used; the message names the field, never a value."""


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
    def answers(self) -> Path:
        """What accepted records state, free text too, one folder a clinic: for the treating clinic's clinicians."""
        return self.root / "answers"

    @property
    def quarantine_copy(self) -> Path:
        """The analysts' copy of the quarantine, readable by the account that runs the pipeline only."""
        return self.root / "quarantine.duckdb"

    @property
    def withdrawals(self) -> Path:
        """Request files of withdrawals that are launched in the UI; each is removed once it is carried out."""
        return self.root / "withdrawals"

    @property
    def entered(self) -> Path:
        """What clinicians entered on the page and no published table shows yet: ``entered/<clinic>/``."""
        return self.root / "entered"

    @property
    def access_log(self) -> Path:
        """Who opened which record, one entry a line that begins with its time (ISO 8601)."""
        return self.root / "access.log"

    @property
    def shadow(self) -> Path:
        """Folders of changed knowledge that may be started in shadow from the UI, each by its name."""
        return self.root / "shadow"

    @property
    def dagster(self) -> Path:
        """Dagster's instance folder."""
        return self.root / "dagster"

    def ensure(self) -> None:
        """Create the folders, open to the owner alone."""
        inside = (
            self.landing,
            self.archive,
            self.mappings,
            self.models,
            self.snapshots,
            self.answers,
            self.withdrawals,
            self.entered,
            self.dagster,
        )
        for folder in (self.root, *inside):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def settings(self) -> Settings:
        """The settings of this home. Raises SettingsRefused naming the fields at fault."""
        file = self.root / "settings.toml"
        named = {field: os.environ.get(f"HIPTRIAGE_{field.upper()}") for field in FROM_ENVIRONMENT}
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            text = b""
        try:
            return _validated(text, tuple((field, value) for field, value in named.items() if value))
        except ValidationError as error:
            fields = sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()})
            raise SettingsRefused(f"settings.toml cannot be used: check {', '.join(fields)}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise SettingsRefused("settings.toml cannot be used: it is not valid TOML") from None


@lru_cache(maxsize=8)
def _validated(text: bytes, named: tuple[tuple[str, str], ...]) -> Settings:
    """Settings of this very text; the page asks several times a request, and reading TOML takes the longest of it."""
    return Settings.model_validate(tomllib.loads(text.decode("utf-8")) | dict(named))
