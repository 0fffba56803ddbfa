"""``hiptriage model``: which model versions there are, what each says about itself, training another, the history.

Belongs here: what only looks, and training. Does not belong here: changing which version is in force
(``pipelines.commands.model_changes``). Nothing here loads a model.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pipelines.commands.model_changes import plain_model_ends, promote, resume, rollback, suspend
from pipelines.commands.model_shadow import shadow
from pipelines.console import visible
from pipelines.instance import use_instance_of
from pipelines.model_store import ModelVersion, find, versions
from pipelines.outcomes import REFUSED, UNEXPECTED, USAGE, Ended
from warehouse.home import Home

if TYPE_CHECKING:
    from warehouse.model_history import Change

# Long tables of the manifest, of use to the program and not to a reader.
_NOT_SHOWN = ("classes", "conformal_thresholds", "fixture", "usual_answers")
REPORT = "report.html"


@click.group()
def model() -> None:
    """Model versions with their evaluation, and which one is in force."""


for command in (promote, rollback, suspend, resume, shadow):
    model.add_command(command)


@model.command("list")
def list_() -> None:
    """Every version with its log loss; * marks the one in force, ! the one that is suspended."""
    with plain_model_ends():
        found = versions(Home.from_environment())
        for version in found:
            mark = {"in force": "*", "suspended": "!"}.get(version.state, " ")
            origin = "came with this release" if version.locked else "trained here"
            basis = version.manifest.get("evidence_basis", "not stated")
            trained = version.manifest.get("training_data", "not stated")
            click.echo(
                f"{mark} {version.version}  {_how_well(version.manifest)}; {origin}; evidence: {basis}; "
                f"trained on: {visible(str(trained))}"
            )
        for version in found:
            if version.state == "suspended":
                click.echo(f"model {version.version} is SUSPENDED: rules alone decide until hiptriage model resume")


def _how_well(manifest: Mapping[str, Any]) -> str:
    """Log loss with its n, and on how many records the model learnt; says so where a manifest leaves them out."""
    try:
        judged = manifest["evaluation"]
        return (
            f"log loss {judged['model']['log_loss']:.4f} on {judged['records']:,} records; "
            f"learnt from n = {manifest['n']:,}"
        )
    except (KeyError, TypeError, ValueError):
        return "log loss not stated"


@model.command()
@click.argument("version", required=False)
@click.option("--report", is_flag=True, help="Only say where the evaluation report lies.")
def show(version: str | None, report: bool) -> None:
    """What a version says about itself: training, evaluation, libraries. [default: the one in force]"""
    with plain_model_ends():
        home = Home.from_environment()
        one = find(home, version)
        if report:
            click.echo(_report(home, one))
            return
        click.echo(f"{one.version}{f' ({one.state})' if one.state else ''}")
        for name, value in one.manifest.items():
            if name not in _NOT_SHOWN:
                click.echo(f"{name}: {_told(value)}")
        if (one.folder / REPORT).is_file():
            click.echo(f"report: {_report(home, one)}")
        card = one.folder / "card.md"
        if card.is_file():
            click.echo(f"\n{card.read_text('utf-8')}")


def _report(home: Home, version: ModelVersion) -> str:
    """Path of the report from the home where it lies inside, whole where it came with the release."""
    file = version.folder / REPORT
    if not file.is_file():
        raise Ended(USAGE, f"model {version.version} has no evaluation report")
    return str(file.relative_to(home.root) if file.is_relative_to(home.root) else file)


def _told(value: Any) -> str:
    return visible(value) if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)


@model.command()
def history() -> None:
    """Every change of the model in force: when, what, who, why, and the tables before and after."""
    with plain_model_ends():
        home = Home.from_environment()
        from warehouse import model_history  # pyarrow takes a while to import

        for change in model_history.changes(home) if home.warehouse.exists() else []:
            click.echo(_change_told(change))


def _change_told(change: "Change") -> str:
    who = " and ".join(visible(name) for name in (change.by, change.second) if name)
    return (
        f"{change.happened_at:%Y-%m-%d %H:%M} UTC  {change.kind} from {change.before} to {change.after} by {who}: "
        f"{visible(change.reason)}; table {change.snapshot_before or 'none'} before, "
        f"{change.snapshot_after or 'not published'} after"
    )


@model.command()
@click.option("--records", type=click.IntRange(2_700, 2_000_000), help="[default: as for the model of this release]")
@click.option("--seed", type=click.IntRange(0), help="[default: as for the model of this release]")
@click.option("--literature-only", is_flag=True, help="Leave out confirmed outcomes that landed here.")
def train(records: int | None, seed: int | None, literature_only: bool) -> None:
    """Train a new version on records generated from the catalogue, as a Dagster run; it is not put in force.

    Confirmed outcomes that landed here move the catalogue's figures first. Without any, or with --literature-only, the
    default figures reproduce the model of this release.
    """
    with plain_model_ends():
        home = Home.from_environment()
        folder = use_instance_of(home)
        from pipelines.materialise import RunFailed
        from pipelines.materialise import train as train_in_dagster  # dagster takes seconds to import

        try:
            version = train_in_dagster(folder, records=records, seed=seed, use_outcomes=not literature_only)
        except RunFailed as failed:
            raise Ended(UNEXPECTED if failed.unexpected else REFUSED, str(failed)) from None
        click.echo(f"stored model {version}; the model in force is unchanged (hiptriage model list)")
