"""``hiptriage doctor``: checks the set-up and says what is wrong."""

import sys
from collections.abc import Iterator
from importlib import metadata

import click

from models.knowledge_files import KnowledgeError
from pipelines.alerting import told
from pipelines.instance import INSTANCE_SETTINGS
from pipelines.model_in_force import basis_in_force
from pipelines.outcomes import REFUSED, Ended, plain_ends
from warehouse import backup
from warehouse.checkup import check_home
from warehouse.finding import Finding
from warehouse.home import Home

LIBRARIES = ("dagster", "duckdb", "pandera", "polars", "pyarrow", "scikit-learn", "skops")


@click.command()
def doctor() -> None:
    """Check this installation; ends with 4 if something is wrong."""
    with plain_ends():
        home = Home.from_environment()
        wrong = 0
        for finding in (*_program(), *_knowledge(home), *check_home(home), *_upkeep(home)):
            click.echo(f"{finding.state:>5}  {finding.sentence}")
            wrong += finding.state == "wrong"
        if wrong:
            raise Ended(REFUSED, f"{wrong} things are wrong")


def _upkeep(home: Home) -> Iterator[Finding]:
    if home.warehouse.exists():
        yield from told.findings(home)
        yield backup.finding(home)


def _program() -> Iterator[Finding]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    yield Finding("ok", f"hiptriage {metadata.version('hiptriage')} on Python {sys.version.split()[0]}; {versions}")
    if not INSTANCE_SETTINGS.exists():
        yield Finding("wrong", "dagster.yaml is missing: the Dagster instance cannot be set up")


def _knowledge(home: Home) -> Iterator[Finding]:
    try:
        basis = basis_in_force(home)
    except KnowledgeError as error:
        yield Finding("wrong", f"knowledge cannot be used: {error}")
        return
    conditions, rules = len(basis.catalogue.conditions), len(basis.rules.rules)
    unsigned = sum(not entry.signed_by for entry in (*basis.catalogue.conditions.values(), *basis.rules.rules))
    yield Finding("ok", f"knowledge: {conditions} conditions, {rules} rules")
    yield Finding("note", f"{unsigned} of them are not yet signed by a clinician")
    if basis.model:
        yield Finding("ok", f"model {basis.model_version} is in force; trained on: {basis.training_statement}")
        if basis.model.figures_changed:
            yield Finding("note", "the catalogue's figures have changed since the model learnt from them: train anew")
    else:
        yield Finding("wrong", str(basis.banner))
