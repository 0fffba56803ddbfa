"""``hiptriage form map`` and ``hiptriage form check``: how a clinic's own file would be read. Nothing is stored."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import polars as pl

from pipelines.console import visible
from pipelines.options import clinic_option
from pipelines.outcomes import QUARANTINED, REFUSED, Ended, plain_ends
from schemas.mapping.plan import Plan
from schemas.problems import FileRefused
from warehouse.exports import replacing
from warehouse.formats.block import Block, Source

SAMPLE_RECORDS = 1000
UNREAD_SHOWN = 20
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _mapping_name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not re.fullmatch("[a-z0-9-]{1,64}", name):
        raise click.BadParameter("a mapping's name is 1-64 of a-z 0-9 -")
    return name


@click.command("map")
@click.argument("file", type=_FILE)
@click.option("--name", default="draft", show_default=True, callback=_mapping_name, help="Name of the mapping.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def map_(file: Path, name: str, output: Path | None) -> None:
    """Propose a first draft of a mapping file for FILE, from its columns and its first records.

    The draft marks every guess and what it could not map. It is refused until a person has set reviewed to true.
    """
    with plain_ends(), _source(file) as source:
        from schemas.mapping.draft import propose

        text = propose(source.header.columns, _sample(source), name=name)
        if output is None:
            sys.stdout.write(text)
            return
        with replacing(output) as half:
            half.write_text(text, "utf-8")
    click.echo(f"check each line of {output}, then: hiptriage form check FILE --mapping {output}", err=True)


@click.command("check")
@click.argument("file", type=_FILE)
@click.option("--mapping", type=_FILE, help="Mapping file to read it with. [default: as hiptriage run would]")
@click.option("--clinic", callback=clinic_option, help="Clinic that the file comes from.")
def check(file: Path, mapping: Path | None, clinic: str | None) -> None:
    """Read FILE as hiptriage run would and count what would become of its records; nothing is stored.

    Says what is wrong by code and column, what is allowed and how to mend it; cells are never shown. Exit code 3 if
    records would be quarantined, 4 if the file would be refused. Of other files only the kind is told.
    """
    with plain_ends(), _source(file) as source:
        contents = _contents(source)
        if contents != "intake":
            said = contents.replace("_", " ")
            click.echo(f"a file of {said}s, not of intake forms: its rows are checked when it is loaded")
            click.echo("nothing was stored")
            return
        plan = _plan(source, mapping, clinic)
        counts = _counted(source, plan, clinic)
        for line in counts.lines(plan):
            click.echo(line)
    if counts.quarantined:
        raise Ended(QUARANTINED, f"{counts.quarantined} of {counts.received} records would be quarantined")


@contextmanager
def _source(file: Path) -> Iterator[Source]:
    from warehouse.formats.recognise import opened_source

    try:
        with opened_source(file) as source:
            yield source
    except FileRefused as refused:
        raise Ended(REFUSED, f"the whole file would be refused: {refused}") from None


def _contents(source: Source) -> str:
    from warehouse.follow_up import contents_of

    return contents_of(source.header.columns)


def _sample(source: Source) -> pl.DataFrame:
    first = next(iter(source.blocks(source.header.columns)), None)
    return pl.DataFrame() if first is None else first.cells.drop("row").head(SAMPLE_RECORDS)


def _plan(source: Source, mapping: Path | None, clinic: str | None) -> Plan:
    from warehouse.reading_plan import plan_of, plan_with

    if mapping is None:
        from warehouse.home import Home

        return plan_of(Home.from_environment(), source, clinic or "")
    from schemas.mapping.mapping_file import load_mapping

    plan = plan_with(source, [load_mapping(mapping.read_bytes())], clinic_known=bool(clinic))
    if plan.mapping is None:  # the file has other columns than the mapping applies to
        raise FileRefused("mapping_does_not_fit")
    return plan


@dataclass
class _Counts:
    """What would become of a file's records; ``problems`` counts records by severity, code and column."""

    received: int = 0
    quarantined: int = 0
    set_aside: int = 0
    refused: list[pl.DataFrame] = field(default_factory=list)
    noted: list[pl.DataFrame] = field(default_factory=list)

    def lines(self, plan: Plan) -> Iterator[str]:
        accepted = self.received - self.quarantined
        reading = plan.name if plan.mapping else f"names of the form ({plan.name})"
        yield f"read with: {reading}"
        unread = ", ".join(visible(column) for column in plan.unread_columns[:UNREAD_SHOWN])
        more = ", ..." if plan.unread > UNREAD_SHOWN else ""
        yield f"columns read: {len(plan.wanted)}, not read: {plan.unread}" + (f" ({unread}{more})" if unread else "")
        yield f"records: {self.received}, would be accepted: {accepted}, would be quarantined: {self.quarantined}"
        if self.set_aside:
            yield f"rows set aside as no intake records: {self.set_aside}"
        said = {check.id: check.sentence for check in plan.mapping.rules.checks} if plan.mapping else {}
        yield from _told("would be quarantined for:", self.refused, said)
        yield from _told("would be accepted, with:", self.noted, said)
        yield "nothing was stored; records that came before are only known when the file is loaded"


def _told(heading: str, found: list[pl.DataFrame], checks: dict[str, str]) -> Iterator[str]:
    """Counts by code and column; ``checks``: what the checks of the mapping say, by id."""
    from schemas.what_is_wrong import explained

    if not found:
        return
    yield heading
    records = pl.concat(found).group_by("code", "column").len()
    for code, column, count in records.sort(["len", "code", "column"], descending=[True, False, False]).iter_rows():
        where = f" [{column}]" if column else ""
        of_check = code.startswith("source_") and column in checks
        yield f"  {count} x {code}{where}: {checks[column] if of_check else explained(code, column).in_full}"


def _counted(source: Source, plan: Plan, clinic: str | None) -> _Counts:
    counts = _Counts()
    now = datetime.now(UTC)
    for block in source.blocks(plan.wanted):
        _count(counts, block, plan, clinic, now)
    return counts


def _count(counts: _Counts, block: Block, plan: Plan, clinic: str | None, now: datetime) -> None:
    from schemas.contract import split

    mapped = plan.to_form(block.cells)
    parts = split(mapped.cells, clinic=clinic, received_at=now, problems=mapped.problems)
    aside = mapped.set_aside.implode()
    of_check = pl.when(pl.col("code") == "source_check").then("cell").otherwise("column").alias("column")
    of_cells = parts.rejections.filter(~pl.col("row").is_in(aside)).select("row", "code", of_check).unique()
    of_records = block.broken.select("row", "code", pl.lit(None, pl.String).alias("column"))
    counts.received += block.numbers.len() - mapped.set_aside.len()
    counts.set_aside += mapped.set_aside.len()
    counts.quarantined += of_cells["row"].n_unique() + of_records.height
    counts.refused += [frame.drop("row") for frame in (of_cells, of_records) if frame.height]
    noted = parts.warnings.select("row", "code", "column").unique()
    counts.noted += [noted.drop("row")] if noted.height else []
