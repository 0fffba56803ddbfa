"""One look at how the service does: counts of the warehouse put through the comparisons of ``models.monitoring``.

Belongs here: which counts each comparison gets. Does not belong here: counting (``warehouse.monitoring``), comparing
(``models.monitoring``), how it is shown (``pipelines.showing.plots``, ``pipelines.defs.checks``). Knows nothing of
Dagster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from models.basis import RULES_ONLY
from models.catalogue import load_catalogue
from models.features import feature_bins
from models.model_file import read_manifest
from models.monitoring import arrivals as arrivals_of
from models.monitoring.drift import Compared, drift
from models.monitoring.findings import Finding
from models.monitoring.limits import DriftLimits, monitoring_limits
from models.monitoring.outcomes import Calibration, Confirmed, calibration, sensitivity
from pipelines.model_in_force import model_folder, versions_in_force
from warehouse import monitoring
from warehouse.home import Home
from warehouse.monitoring import Arrivals, ConfirmedOutcome, Spread, Windows
from warehouse.outcomes_for_training import learnt_until

INSTALLATION = "all clinics"
_PUBLISHED_CASE = "published_case"


@dataclass(frozen=True)
class Look:
    """The warehouse as it is at ``now`` (UTC), and what it comes to; each part is counted when it is first asked for.

    Valid inside ``looking`` only.
    """

    connection: Any
    now: datetime

    @property
    def windows(self) -> Windows:
        """The two windows that drift compares."""
        own = monitoring_limits().windows
        return Windows.before(self.now, recent_days=own.recent_days, reference_days=own.reference_days)

    @cached_property
    def arrivals(self) -> dict[str, list[Arrivals]]:
        """Days with arrivals by clinic."""
        found: dict[str, list[Arrivals]] = {}
        for arrived in monitoring.arrivals(self.connection):
            found.setdefault(arrived.clinic_id, []).append(arrived)
        return found

    def freshness(self) -> list[Finding]:
        """Whether each clinic still sends anything."""
        limits, today = monitoring_limits().freshness, self.now.date()
        return [arrivals_of.freshness(clinic, _forms(days), today, limits) for clinic, days in self.arrivals.items()]

    def volume(self) -> list[Finding]:
        """Whether each clinic sends about as many forms as usual."""
        limits, today = monitoring_limits().volume, self.now.date()
        return [arrivals_of.volume(clinic, _forms(days), today, limits) for clinic, days in self.arrivals.items()]

    @cached_property
    def answer_drift(self) -> dict[str, list[Finding]]:
        """By clinic, whether each question is answered as it was; empty for a clinic with too few forms to say."""
        limits = monitoring_limits().drift.answers
        cuts = {column: bins.cuts for column, bins in feature_bins().numbers.items()}
        spreads = monitoring.answer_spreads(self.connection, self.windows, cuts, least_records=limits.least_records)
        return {clinic: [] for clinic in self.arrivals} | _by_clinic(spreads, limits)

    @cached_property
    def tier_spreads(self) -> list[Spread]:
        """Tiers in the two windows, by clinic."""
        return monitoring.tier_spreads(self.connection, self.windows)

    def tier_drift(self) -> list[Finding]:
        """Whether the forms of each clinic come to the tiers they came to before."""
        compared = [Compared(spread.clinic_id, spread.reference, spread.recent) for spread in self.tier_spreads]
        return drift(compared, monitoring_limits().drift.tiers)

    def tiers_by_week(self) -> dict[str, dict[date, dict[str, int]]]:
        """Tiers by clinic and week of arrival, since the reference window begins."""
        return monitoring.tiers_by_week(self.connection, self.windows.begins)

    def refusals(self) -> dict[str, dict[str, int]]:
        """Refused forms by clinic and code, since the reference window begins."""
        return monitoring.refusals(self.connection, self.windows.begins)

    @cached_property
    def outcomes(self) -> list[ConfirmedOutcome]:
        """Confirmed outcomes with the score each record had. Published cases are not people of a clinic."""
        limits = monitoring_limits()
        since = self.now - timedelta(days=max(limits.calibration.days, limits.sensitivity.days))
        found = monitoring.confirmed_outcomes(self.connection, since)
        return [outcome for outcome in found if outcome.data_kind != _PUBLISHED_CASE]

    def calibration(self, model_version: str, learnt_until: datetime | None) -> Calibration:
        """How the probabilities of the model hold on outcomes that it gave a score for and did not learn from.

        ``learnt_until``: when the last outcome came in (UTC) that the model learnt from; None where from none.
        """
        limits = monitoring_limits().calibration
        own = [
            one
            for one in self.outcomes
            if one.model_version == model_version
            and one.received_at > self._since(limits.days)
            and (learnt_until is None or one.known_at > learnt_until)
        ]
        return calibration(model_version, map(_confirmed, own), limits)

    def sensitivity(self) -> Finding:
        """Of people with a confirmed dangerous condition, who came to urgent or faster, whatever model was in force."""
        limits = monitoring_limits().sensitivity
        dangerous = [entry.id for entry in load_catalogue().conditions.values() if entry.dangerous]
        own = [one for one in self.outcomes if one.received_at > self._since(limits.days)]
        return sensitivity(INSTALLATION, map(_confirmed, own), dangerous, limits)

    def _since(self, days: int) -> datetime:
        return self.now - timedelta(days=days)


@contextmanager
def looking(home: Home, now: datetime | None = None) -> Iterator[Look]:
    """A look at the warehouse; waits for whoever writes. Raises WarehouseBusy, WarehouseRefused."""
    with monitoring.monitored(home) as connection:
        yield Look(connection, now or datetime.now(UTC))


def calibration_in_force(home: Home, look: Look) -> Calibration:
    """Calibration of the model in force; too few to say where rules alone decide."""
    version = versions_in_force(home).model_version
    if version == RULES_ONLY:
        return Calibration(Finding(version, "too_few_to_say", "no model is in force: rules alone decide"), ())
    return look.calibration(version, learnt_until(read_manifest(model_folder(home))))


def _forms(days: list[Arrivals]) -> dict[date, int]:
    return {arrived.day: arrived.forms for arrived in days}


def _by_clinic(spreads: list[Spread], limits: DriftLimits) -> dict[str, list[Finding]]:
    compared: dict[str, list[Compared]] = {}
    for spread in spreads:
        compared.setdefault(spread.clinic_id, []).append(Compared(spread.subject, spread.reference, spread.recent))
    return {clinic: drift(questions, limits) for clinic, questions in compared.items()}


def _confirmed(outcome: ConfirmedOutcome) -> Confirmed:
    return Confirmed(outcome.condition, outcome.tier, outcome.differential, built_for=not outcome.is_child)
