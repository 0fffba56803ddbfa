"""``hiptriage form``: the blank form in every kind that clinics use; ``map`` and ``check`` for what comes back."""

import sys
from pathlib import Path

import click

from pipelines.commands.form_mapping import check, map_
from pipelines.outcomes import plain_ends
from schemas.forms.wording import AUDIENCES, Audience, emergency_number
from warehouse.exports import replacing


class _Number(click.ParamType):
    """A telephone number, for the stop text."""

    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return emergency_number(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(invoke_without_command=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "redcap", "fhir", "html"]),
    default="csv",
    show_default=True,
    help="Kind of form.",
)
@click.option("--for", "audience", type=click.Choice(AUDIENCES), help="The sheet of one of them only.")
@click.option("--phone", type=_Number(), help="The clinic's emergency number, for the stop text.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.pass_context
def form(ctx: click.Context, kind: str, audience: Audience | None, phone: str | None, output: Path | None) -> None:
    """The blank intake form.

    As csv, the header of the canonical file; as redcap, a data dictionary to upload; as fhir, a Questionnaire; as html,
    pages to print. It leaves out what nobody is asked: columns that are derived, and movements that are never tried on
    request (the clinician's printed page has a place for those that were done already).
    """
    if ctx.invoked_subcommand:
        return
    with plain_ends():
        text = _blank(kind, (audience,) if audience else AUDIENCES, phone)
        if output is None:
            sys.stdout.write(text)
            return
        with replacing(output) as half:
            half.write_text(text, "utf-8")


def _blank(kind: str, audiences: tuple[Audience, ...], phone: str | None) -> str:
    # Imported here: the header of the CSV needs no template engine.
    if kind == "redcap":
        from schemas.forms.redcap_dictionary import redcap_dictionary

        return redcap_dictionary(audiences, phone)
    if kind == "fhir":
        from schemas.forms.questionnaire import questionnaire_json

        return questionnaire_json(audiences, phone)
    if kind == "html":
        from schemas.forms.printable import printable

        return printable(audiences, phone)
    from schemas.forms.blank_csv import blank_csv

    return blank_csv(audiences)


form.add_command(map_)
form.add_command(check)
