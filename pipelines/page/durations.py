"""Lengths of time in words."""

from datetime import datetime, timedelta


def duration(length: timedelta) -> str:
    """A length of time in the unit that people would use: minutes, hours below two days, days, weeks from eight on."""
    minutes = int(abs(length).total_seconds() // 60)
    for unit, size, upto in (("minute", 1, 120), ("hour", 60, 2_880), ("day", 1_440, 80_640)):
        if minutes < upto:
            return _counted(minutes // size, unit)
    return _counted(minutes // 10_080, "week")


def ago(since: datetime, now: datetime) -> str:
    """How long ago, in words; for a time ahead of ``now`` it says so, because then a clock is wrong."""
    if since > now + timedelta(minutes=1):
        return f"{duration(since - now)} ahead of this machine's clock"
    return f"{duration(now - since)} ago"


def until(due: datetime, now: datetime) -> str:
    """How long until a time that somebody has to keep, or since it passed: in capitals, because nobody did."""
    return f"OVERDUE by {duration(now - due)}" if due <= now else f"in {duration(due - now)}"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
