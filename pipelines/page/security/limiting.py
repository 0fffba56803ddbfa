"""How much one person, or one address, may ask: requests a minute, failed sign-ins a quarter of an hour.

Belongs here: counting, in the memory of this process. Does not belong here: how many (``warehouse.settings``).
"""

import time
from ipaddress import ip_address, ip_network

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from pipelines.page.security.caller import Caller, Refused

FAILED_WITHIN_MINUTES = 15
_IPV6_OF_ONE = 64  # what one household or machine is given: it may take any address of it


class Limits:
    """The counts of one process."""

    def __init__(self) -> None:
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def count_request(self, caller: Caller) -> None:
        """Count one request of a person, or of an address. Raises Refused 429; whoever sits here is not counted."""
        if caller.by == "local":
            return
        who = f"person {caller.person.id}" if caller.person else f"address {_of_one(caller.address)}"
        allowed = RateLimitItemPerMinute(caller.settings.page.requests_a_minute)
        if not self._window.hit(allowed, "request", who):
            raise self._refused(allowed, "request", who, "Too many requests.")

    def may_sign_in(self, caller: Caller) -> None:
        """Raises Refused 429 where too many sign-ins failed from this address."""
        allowed, who = self._failures(caller), _of_one(caller.address)
        if not self._window.test(allowed, "sign-in", who):
            raise self._refused(allowed, "sign-in", who, "Too many failed sign-ins from this address.")

    def count_failed_sign_in(self, caller: Caller) -> None:
        """Count one sign-in that failed."""
        self._window.hit(self._failures(caller), "sign-in", _of_one(caller.address))

    @staticmethod
    def _failures(caller: Caller) -> RateLimitItemPerMinute:
        return RateLimitItemPerMinute(caller.settings.page.failed_sign_ins, FAILED_WITHIN_MINUTES)

    def _refused(self, allowed: RateLimitItemPerMinute, what: str, who: str, sentence: str) -> Refused:
        seconds = max(1, int(self._window.get_window_stats(allowed, what, who).reset_time - time.time()) + 1)
        return Refused(429, f"{sentence} Try again in {seconds} seconds.", {"Retry-After": str(seconds)})


def _of_one(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((known, _IPV6_OF_ONE), strict=False)) if known.version == 6 else address
