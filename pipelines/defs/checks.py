"""Checks on how the service does over time: once an hour, or alone, or with the asset that they stand on.

Belongs here: what each check is called, how bad it is when it is red, and what to do next. Does not belong here: the
comparisons (``pipelines.showing.monitoring``), checks of a single batch or publication (beside their assets).

None of them blocks: a form with an emergency must be published whatever these say about the months before. Red as an
error is what may harm somebody today (an old table, a broken audit, dangerous conditions missed beyond chance); all
else warns. Too few to say passes and says so. The jobs of a record's path leave them out and end the sooner.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from models.monitoring.findings import Finding, overall
from models.monitoring.limits import monitoring_limits, signature
from pipelines.failures import without_patient_values
from pipelines.runs.automation_settings import cron
from pipelines.showing.monitoring import Look, calibration_in_force, looking
from pipelines.showing.next_step import next_step
from warehouse.home import Home
from warehouse.published_checkup import check_audit
from warehouse.snapshot_reading import SnapshotMissing, current_snapshot

_CALLED_OUT_COLUMNS = 10


@dataclass(frozen=True)
class Said:
    """What a check found: ``passed``, one sentence, entries of metadata without small counts, and how bad."""

    passed: bool
    sentence: str
    entries: Mapping[str, str | int | float] = field(default_factory=dict)
    is_error: bool = False


@dataclass(frozen=True)
class Check:
    """One check: its asset, what it is about, how it is found out, and which job to run where it is red."""

    asset: str
    about: str
    look: Callable[[Home, Look], Said]
    job: str
    next_step: str

    def spec(self, name: str) -> dg.AssetCheckSpec:
        """As Dagster wants it."""
        return dg.AssetCheckSpec(name, asset=self.asset, description=self.about)

    def result(self, name: str, said: Said) -> dg.AssetCheckResult:
        """What it said, with the next step where it is red."""
        return dg.AssetCheckResult(
            asset_key=self.asset,
            check_name=name,
            passed=said.passed,
            severity=dg.AssetCheckSeverity.ERROR if said.is_error else dg.AssetCheckSeverity.WARN,
            description=said.sentence,
            metadata={**said.entries, **({} if said.passed else next_step(self.job, self.next_step))},
        )


def _each(findings: Iterable[Finding], nothing: str) -> Said:
    """A check with a finding for each clinic or model."""
    listed = list(findings)
    if not listed:
        return Said(True, nothing)
    state = overall(listed)
    red = [finding for finding in listed if finding.called_out]
    sentence = f"{len(red)} of {len(listed)}: {state}" if red else state.replace("_", " ")
    return Said(not red, sentence, {finding.subject: finding.sentence for finding in listed} | {"limits": signature()})


def _freshness(_: Home, look: Look) -> Said:
    return _each(look.freshness(), "no clinic has sent anything yet")


def _volume(_: Home, look: Look) -> Said:
    return _each(look.volume(), "no clinic has sent anything yet")


def _answer_drift(_: Home, look: Look) -> Said:
    entries: dict[str, str | int | float] = {}
    moved = 0
    for clinic, findings in look.answer_drift.items():
        red = sorted((f for f in findings if f.called_out), key=lambda f: -f.figures["distance"])
        moved += bool(red)
        if not findings:
            least = monitoring_limits().drift.answers.least_records
            entries[clinic] = f"too few to say: fewer than {least} forms in a window"
        elif red:
            named = ", ".join(f"{f.subject} ({f.figures['distance']:.2f})" for f in red[:_CALLED_OUT_COLUMNS])
            entries[clinic] = f"{len(red)} of {len(findings)} questions moved: {named}"
        else:
            entries[clinic] = f"{len(findings)} questions looked at, none moved"
    if moved:
        sentence = f"answers moved in {moved} of {len(look.answer_drift)} clinics"
    else:
        sentence = "ok" if any(look.answer_drift.values()) else "too few to say"
    return Said(not moved, sentence, entries | {"limits": signature()})


def _tier_drift(_: Home, look: Look) -> Said:
    return _each(look.tier_drift(), "too few to say: nothing was scored in these windows")


def _calibration(home: Home, look: Look) -> Said:
    return _each([calibration_in_force(home, look).finding], "")


def _sensitivity(_: Home, look: Look) -> Said:
    finding = look.sensitivity()
    said = _each([finding], "")
    return Said(said.passed, finding.state.replace("_", " "), said.entries, is_error=finding.certain)


def _stale(home: Home, look: Look) -> Said:
    try:
        snapshot = current_snapshot(home, now=look.now)
    except SnapshotMissing as missing:
        return Said(False, str(missing), is_error=True)
    hours = (look.now - snapshot.published_at).total_seconds() / 3600
    entries = {"age in hours": round(hours, 1), "stale after hours": home.settings().stale_hours}
    return Said(not snapshot.stale, "stale" if snapshot.stale else "fresh", entries, is_error=True)


def _audit_chain(home: Home, look: Look) -> Said:
    finding = check_audit(home, look.connection)
    return Said(finding.state != "wrong", finding.sentence, is_error=True)


CHECKS = {
    "freshness": Check(
        "intake_valid",
        "Warns when a clinic has been silent for much longer than it usually is.",
        _freshness,
        "landing",
        "Ask the clinic whether its export still runs and where it puts its files; then look at the landing folder.",
    ),
    "volume": Check(
        "intake_valid",
        "Warns when a clinic sends far fewer forms than in a usual week.",
        _volume,
        "landing",
        "Compare with the number of forms the clinic says it sent; look for files left in its landing folder.",
    ),
    "answer_drift": Check(
        "intake_valid",
        "Warns when a question is answered otherwise than in the months before: a changed form, a broken mapping, or "
        "other people.",
        _answer_drift,
        "replay_quarantine",
        "Look at the clinic's form and mapping for the questions named. After a mapping was mended, try refused "
        "records again; records that were read wrongly have to be sent again by the clinic.",
    ),
    "tier_drift": Check(
        "referral_score",
        "Warns when the forms of a clinic come to other tiers than in the months before.",
        _tier_drift,
        "roll_back",
        "See answer_drift first: other answers give other tiers. If a model was promoted between the two windows, "
        "compare the two, and go back where the new one is wrong.",
    ),
    "calibration": Check(
        "model_in_force",
        "Warns when the model's probabilities do not hold on confirmed outcomes that it did not learn from.",
        _calibration,
        "train_and_evaluate",
        "Train a new version on the outcomes that came back, and read its evaluation before anyone promotes it.",
    ),
    "sensitivity": Check(
        "model_in_force",
        "Of people with a confirmed dangerous condition, how many came to urgent or faster. Warns below the aim; an "
        "error where the whole interval is below.",
        _sensitivity,
        "suspend",
        "Show this to the clinical lead today. Where the model is at fault, suspend it: rules alone then decide.",
    ),
    "stale": Check(
        "snapshot",
        "An error when the table that clinicians read is older than the settings allow.",
        _stale,
        "score_and_publish",
        "Look at the last failed run, then publish anew.",
    ),
    "audit_chain": Check(
        "snapshot",
        "An error when an entry of the audit is missing or was changed, by the chain itself or by a snapshot that "
        "names its head.",
        _audit_chain,
        "checks",
        "Keep the files as they are, and find out who could write the warehouse. Restore a backup whose chain is "
        "whole, take the files in again, then check once more.",
    ),
}


@dg.multi_asset_check(
    name="look_after",
    specs=[check.spec(name) for name, check in CHECKS.items()],
    can_subset=True,
    description="Looks at the warehouse once and says what every chosen check finds.",
)
def look_after(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Run the chosen checks on one state of the warehouse; waits for whoever writes it."""
    chosen = {key.name for key in context.selected_asset_check_keys}
    with without_patient_values("checks"):
        home = Home.from_environment()
        with looking(home, datetime.now(UTC)) as look:
            results = [check.result(name, check.look(home, look)) for name, check in CHECKS.items() if name in chosen]
    yield from results


checks = dg.define_asset_job(
    "checks",
    selection=dg.AssetSelection.checks(look_after),
    description="Look at freshness, volume, drift, calibration, sensitivity, the age of the table and the audit. "
    "Changes nothing.",
)

checks_by_the_clock = dg.ScheduleDefinition(
    name="checks_by_the_clock",
    job=checks,
    cron_schedule=cron("checks_cron"),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Silence and an old table are found by the clock alone: no run comes when nothing comes in.",
)
