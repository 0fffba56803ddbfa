"""``hiptriage form``: the blank form."""

import sys
from pathlib import Path

import click

from pipelines.outcomes import plain_ends
from schemas.form import form as every_question
from warehouse.exports import replacing


@click.command()
@click.option("--format", "kind", type=click.Choice(["csv"]), default="csv", show_default=True, help="Kind of form.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def form(kind: str, output: Path | None) -> None:
    """The blank intake form: as csv, the header of the canonical file.

    Leaves out what nobody is asked: columns that are derived, and movements that are never tried on request.
    """
    with plain_ends():
        header = ",".join(question.column for question in every_question() if question.ask == "ask") + "\n"
        if output is None:
            sys.stdout.write(header)
            return
        with replacing(output) as half:
            half.write_text(header, "utf-8")
