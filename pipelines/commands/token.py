"""``hiptriage token``: a new token for somebody who signs in to the clinicians' page."""

import hashlib
import secrets

import click


@click.command()
def token() -> None:
    """Make a token: the line for the settings, which hold its hash only, and the token itself, once, for the person."""
    made = secrets.token_urlsafe(32)
    click.echo(f'token_sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"')
    click.echo(f"token, shown this once: {made}", err=True)
