"""Addresses of this site that a request names: nobody is sent anywhere else."""

import re

# Browsers read // and /\ as another host, and drop tabs and line ends before they look.
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")


def own_path(named: str) -> str:
    """The path and query as named where they are of this site, else its first page."""
    return named if _OWN_PATH.fullmatch(named) else "/"
