"""``hiptriage model``: which model versions there are, and what each says about itself.

Reads manifests as JSON only; nothing here loads a model.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import click

from pipelines.console import visible
from pipelines.instance import use_instance_of
from pipelines.outcomes import REFUSED, UNEXPECTED, USAGE, Ended, plain_ends
from warehouse.home import Home

# Long tables of the manifest, of use to the program and not to a reader.
_NOT_SHOWN = ("classes", "conformal_thresholds", "fixture", "usual_answers", "raise_thresholds")


@dataclass(frozen=True)
class ModelVersion:
    """One stored version: what its manifest says, whether it came with the release, and whether it is in force."""

    manifest: dict[str, Any]
    folder: Path
    locked: bool
    in_force: bool

    @property
    def version(self) -> str:
        """The version that scores carry."""
        return str(self.manifest.get("model_version", self.folder.name))


@click.group()
def model() -> None:
    """Model versions with their evaluation."""


@model.command("list")
def list_() -> None:
    """Every version, the one in force marked with *."""
    with plain_ends():
        for version in versions(Home.from_environment()):
            mark = "*" if version.in_force else " "
            origin = "came with this release" if version.locked else "trained here"
            basis = version.manifest.get("evidence_basis", "not stated")
            trained = version.manifest.get("training_data", "not stated")
            click.echo(f"{mark} {version.version}  {origin}; evidence: {basis}; trained on: {trained}")


@model.command()
@click.argument("version", required=False)
def show(version: str | None) -> None:
    """What a version says about itself: training, evaluation, libraries. [default: the one in force]"""
    with plain_ends():
        found = [
            one for one in versions(Home.from_environment()) if one.version == version or (not version and one.in_force)
        ]
        if not found:
            raise Ended(USAGE, "there is no such model version: see hiptriage model list")
        one = found[0]
        click.echo(f"{one.version}{' (in force)' if one.in_force else ''}")
        for name, value in one.manifest.items():
            if name not in _NOT_SHOWN:
                click.echo(f"{name}: {_told(value)}")
        card = one.folder / "card.md"
        if card.is_file():
            click.echo(f"\n{card.read_text('utf-8')}")


def versions(home: Home) -> Iterator[ModelVersion]:
    """The locked model of the release first, then those of this home, oldest name first.

    The pointer ``current`` in the home's models folder names the version in force; without it the locked one is.
    Raises Ended where a manifest cannot be read or the pointer names no version.
    """
    pointer = home.models / "current"
    pointed = pointer.read_text("utf-8").strip() if pointer.is_file() else None
    locked = Path(str(resources.files("models"))) / "locked"
    folders = sorted(file.parent for file in home.models.glob("*/manifest.json"))
    if pointed and pointed not in [folder.name for folder in folders]:
        raise Ended(REFUSED, "the pointer to the model in force names no version: rules alone decide until it does")
    if (locked / "manifest.json").is_file():
        yield ModelVersion(_manifest(locked), locked, locked=True, in_force=pointed is None)
    for folder in folders:
        yield ModelVersion(_manifest(folder), folder, locked=False, in_force=folder.name == pointed)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise Ended(
            REFUSED, "the manifest of a model cannot be read; rules alone decide where it is in force"
        ) from None
    if not isinstance(manifest, dict):
        raise Ended(REFUSED, "the manifest of a model is not what it should be")
    return manifest


def _told(value: Any) -> str:
    return visible(value) if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)


@model.command()
@click.option("--records", type=click.IntRange(2_700, 2_000_000), help="[default: as for the model of this release]")
@click.option("--seed", type=click.IntRange(0), help="[default: as for the model of this release]")
def train(records: int | None, seed: int | None) -> None:
    """Train a new version on records generated from the catalogue, as a Dagster run; it is not put in force.

    With the default figures it reproduces the model of this release.
    """
    with plain_ends():
        home = Home.from_environment()
        folder = use_instance_of(home)
        from pipelines.materialise import RunFailed
        from pipelines.materialise import train as train_in_dagster  # dagster takes seconds to import

        try:
            version = train_in_dagster(folder, records=records, seed=seed)
        except RunFailed as failed:
            raise Ended(UNEXPECTED if failed.unexpected else REFUSED, str(failed)) from None
        click.echo(f"stored model {version}; the model in force is unchanged (hiptriage model list)")
