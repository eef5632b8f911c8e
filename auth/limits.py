"""Rate limits: how often somebody may do something in each window, counted over all processes.

A limit has a rule, a name such as `default`, and is counted for each subject apart: a user, a key, an address, an
account. Windows are fixed: one begins with a subject's first act and ends so many seconds later.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import msgspec

from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.phrases import translatable

log = logging.getLogger("tickhub.auth.limits")

ALONE_S = 5.0
"""For how long this process counts by itself before one request asks the others' server again."""

_LOG_EVERY_S = 60.0


class Rule(StrEnum):
    """What is limited; a request's class of limit is one of these."""

    DEFAULT = "default"
    """Requests of a user, of a key, or of the address of who brings no good token."""
    LOOKUP = "lookup"
    """Requests of a user or key that pages send while somebody types or turns over charts."""
    LOGIN = "login"
    """Attempts to get in or to register, by address."""
    FAILURES = "failures"
    """Wrong passwords and codes of one account, whatever the address."""


LOOKUP_TIMES = 10
"""How many times as many of these as of others."""


class Limit(msgspec.Struct, frozen=True):
    """At most `quota` in `window_s` seconds."""

    quota: int
    window_s: float


def limits_of(*, requests: int, logins: int, window_s: float, failures: int = 20) -> dict[str, Limit]:
    """The limit of each rule."""
    return {
        Rule.DEFAULT: Limit(requests, window_s),
        Rule.LOOKUP: Limit(LOOKUP_TIMES * requests, window_s),
        Rule.LOGIN: Limit(logins, window_s),
        Rule.FAILURES: Limit(failures, window_s),
    }


class Allowance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is left of a limit: `remaining` of `limit`, which a new window fills up again in `resets_in_s`."""

    rule: str
    limit: int
    remaining: int
    resets_in_s: float
    window_s: float


class RateLimited(CommandError):
    """Too many in this window; `allowance` says when the next begins."""

    def __init__(self, allowance: Allowance) -> None:
        seconds = max(1, round(allowance.resets_in_s + 0.5))
        text = translatable("Too many requests; try again in {seconds} s")
        super().__init__(ErrorCode.RATE_LIMITED, text, seconds=seconds)
        self.allowance = allowance


class Counted(Protocol):
    """Where a counter stands, and in how many seconds it ends."""

    @property
    def count(self) -> int: ...  # noqa: D102 - described by the class
    @property
    def resets_in_s(self) -> float: ...  # noqa: D102 - described by the class


class RateLimits:
    """Counts by rule and subject, and refuses what is too much.

    `count(key, window_s, cost)` is shared by all processes; where it raises Unavailable, `count_alone` does the same
    in this process for a while: a server that is away neither opens the gate nor shuts it. No subject is readable in a
    key, which holds a digest made with `secret`. `clock` is monotonic seconds.
    """

    def __init__(
        self,
        count: Callable[[str, float, int], Awaitable[Counted]],
        *,
        count_alone: Callable[[str, float, int], Counted],
        secret: str,
        limits: Mapping[str, Limit],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count_shared = count
        self._count_alone = count_alone
        self._digest_key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"tickhub.limits").digest()
        self._limits = dict(limits)
        self._clock = clock
        self._alone = False
        self._ask_at = float("-inf")
        self._logged_at = float("-inf")

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The limit of each rule now."""
        return self._limits

    def replace(self, limits: Mapping[str, Limit]) -> None:
        """Let these limits hold from now on, and of the rules not named those of before.

        Another quota judges what has been counted already; another window begins to count anew.
        """
        self._limits = {**self._limits, **limits}

    async def take(self, rule: str, subject: str, cost: int = 1, *, quota: int | None = None) -> Allowance:
        """Take `cost` of the subject's allowance; `quota` overrides the rule's. Raises RateLimited.

        What is refused counts all the same. A cost of 0 only looks, and is refused where nothing is left. Cancelling
        may or may not have taken. Raises KeyError for a rule that there isn't.
        """
        limit = self._limits[rule]
        most = limit.quota if quota is None else quota
        counted = await self._count(self._key(rule, subject, limit), limit.window_s, cost)
        allowance = Allowance(
            rule=rule,
            limit=most,
            remaining=max(0, most - counted.count),
            resets_in_s=counted.resets_in_s,
            window_s=limit.window_s,
        )
        if counted.count + (cost == 0) > most:
            raise RateLimited(allowance)
        return allowance

    async def give_back(self, rule: str, subject: str, cost: int = 1) -> None:
        """Undo a `take` of this window.

        Who takes before checking a secret, and gives back where it was right, leaves no room for a thousand guesses at
        once, as who counts failures afterwards does.
        """
        limit = self._limits[rule]
        await self._count(self._key(rule, subject, limit), limit.window_s, -cost)

    def _key(self, rule: str, subject: str, limit: Limit) -> str:
        text = subject.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=16, key=self._digest_key).hexdigest()
        return f"{rule}:{limit.window_s:g}:{digest}"

    async def _count(self, key: str, window_s: float, cost: int) -> Counted:
        if self._alone:
            if self._clock() < self._ask_at:
                return self._count_alone(key, window_s, cost)
            self._ask_at = self._clock() + ALONE_S  # one asks, and no other waits for that
        try:
            counted = await self._count_shared(key, window_s, cost)
        except Unavailable as exc:
            self._go_alone(exc)
            return self._count_alone(key, window_s, cost)
        self._alone = False
        return counted

    def _go_alone(self, exc: Unavailable) -> None:
        now = self._clock()
        self._alone, self._ask_at = True, now + ALONE_S
        if now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            log.warning("limits.alone", extra={"what": exc.what, "why": exc.why})


@lru_cache(maxsize=10_000)
def address_subject(address: str) -> str:
    """Who an address stands for: itself, or of IPv6 its /64, which is what one customer gets."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return f"address:{address}"
    if read.version == 4:
        return f"address:{read}"
    network = ipaddress.IPv6Network((int(read) >> 64 << 64, 64))
    return f"address:{network}"
