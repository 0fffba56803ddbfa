"""Dates and times as clinics write them, to ISO 8601 in UTC.

Belongs here: the declared order of day, month and year, the clock, and the zone. Nothing is taken for granted: a time
without a zone, a day that does not exist, and an hour that the clock went through twice are problems, not guesses.
Does not belong here: how early or late a submission may be (``schemas.contract``).
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from schemas.answers import EARLIEST_YEAR, LATEST_YEAR

Order = Literal["ymd", "dmy", "mdy", "iso"]
WITH_OFFSET = "with_offset"

_DATES = {
    "iso": "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})",
    "ymd": "(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})",
    "dmy": "(?P<day>[0-9]{1,2})[-/.](?P<month>[0-9]{1,2})[-/.](?P<year>[0-9]{4})",
    "mdy": "(?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})[-/.](?P<year>[0-9]{4})",
}
_CLOCK = (
    r"(?:(?:T|,? +)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-5][0-9])(?:\.(?P<fraction>[0-9]{1,6}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
_OFFSET = r"(?: ?(?P<utc>Z|UTC|GMT)?(?:(?P<sign>[+-])(?P<ahead>[0-9]{1,2})(?::?(?P<minutes>[0-9]{2}))?)?)?"


def zone_exists(zone: str) -> bool:
    """Whether ``zone`` is a name of the time zone database that polars carries; no file is looked up by that name."""
    try:
        pl.Series([None], dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
    except (pl.exceptions.PolarsError, ValueError, TypeError):
        return False
    return True


def read_times(cell: pl.Expr, *, order: Order, zone: str, clock: str | None) -> tuple[pl.Expr, pl.Expr]:
    """Times as ISO 8601 text in UTC or with their own offset, and the code of those that cannot be read.

    ``order``: of day, month and year; ``iso`` takes two digits each and hyphens only. ``zone``: a zone of the time
    zone database for times that carry no offset, or ``with_offset`` where each has to carry one. ``clock``: the time
    of day ('HH:MM') that a date without one stands for; None refuses such a date.
    Codes: ``bad_time`` (other order, no such day or time, no time of day, a year out of reach),
    ``time_without_offset``, ``ambiguous_time`` (an hour that came twice or never; an offset settles it).
    """
    part = cell.str.extract_groups(f"^{_DATES[order]}{_CLOCK}{_OFFSET}$").struct.field
    default_hour, _, default_minute = (clock or "").partition(":")
    hour, minute = _hour(part("hour"), part("half")), part("minute")
    if clock:
        hour, minute = (
            pl.when(part("hour").is_null()).then(pl.lit(default)).otherwise(read)
            for default, read in ((default_hour, hour), (default_minute, minute))
        )
    naive = pl.concat_str(
        [
            part("year") + "-" + part("month").str.pad_start(2, "0") + "-" + part("day").str.pad_start(2, "0") + "T",
            hour + ":" + minute,
            ":" + part("second").fill_null("00") + "." + part("fraction").fill_null("0").str.pad_end(6, "0"),
        ]
    )
    local = naive.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us", strict=False)
    local = pl.when(local.dt.year().is_between(EARLIEST_YEAR + 1, LATEST_YEAR - 1)).then(local)
    own_offset = _offset(part("utc"), part("sign"), part("ahead"), part("minutes"))
    with_own = pl.when(local.is_not_null()).then(naive + own_offset)
    claims_offset = part("utc").is_not_null() | part("sign").is_not_null()
    no_offset = cell.is_not_null() & ~claims_offset
    bad = cell.is_not_null() & (local.is_null() | (claims_offset & own_offset.is_null()))
    if zone == WITH_OFFSET:
        code = pl.when(bad).then(pl.lit("bad_time")).when(no_offset).then(pl.lit("time_without_offset"))
        return with_own, code
    earliest, latest = (
        local.dt.replace_time_zone(zone, ambiguous=which, non_existent="null") for which in ("earliest", "latest")
    )
    unclear = no_offset & (earliest.is_null() | (earliest != latest))
    code = pl.when(bad).then(pl.lit("bad_time")).when(unclear).then(pl.lit("ambiguous_time"))
    utc = earliest.dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")
    return pl.when(claims_offset).then(with_own).otherwise(utc), code


def _hour(hour: pl.Expr, half: pl.Expr) -> pl.Expr:
    """The hour of 24 as two digits; with a.m. or p.m. null unless it is 1 to 12, because 13 p.m. says nothing."""
    number = hour.cast(pl.Int32)
    of_day = number % 12 + pl.when(half.str.to_lowercase() == "p").then(12).otherwise(0)
    named = pl.when(number.is_between(1, 12)).then(of_day)
    return pl.when(half.is_null()).then(number).otherwise(named).cast(pl.String).str.pad_start(2, "0")


def _offset(utc: pl.Expr, sign: pl.Expr, ahead: pl.Expr, minutes: pl.Expr) -> pl.Expr:
    """The offset as +HH:MM; null where there is none or it lies more than 14 hours from UTC."""
    in_reach = (ahead.cast(pl.Int32) <= 14) & (minutes.fill_null("00").cast(pl.Int32) < 60)
    written = sign + ahead.str.pad_start(2, "0") + ":" + minutes.fill_null("00")
    given = pl.when(in_reach & ~((utc == "Z") & sign.is_not_null()).fill_null(False)).then(written)
    return pl.when(sign.is_not_null()).then(given).when(utc.is_not_null()).then(pl.lit("+00:00"))
