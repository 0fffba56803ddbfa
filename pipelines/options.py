"""Options that several commands share."""

import re

import click

from schemas.answers import KEY_PATTERNS


def clinic_option(_: click.Context, __: click.Parameter, clinic: str | None) -> str | None:
    """Check a clinic id given on the command line."""
    if clinic is not None and not re.fullmatch(KEY_PATTERNS["clinic_id"], clinic):
        raise click.BadParameter("a clinic id is 1-32 of a-z 0-9 -")
    return clinic
