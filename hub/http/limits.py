"""The rate limits of HTTP: which of them a request falls under, and how the answer tells what is left.

The headers `RateLimit-Policy` and `RateLimit` are those of the IETF's draft-ietf-httpapi-ratelimit-headers; the three
`RateLimit-…` beside them are what clients knew before it.
"""

import math
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import Scope

from auth.identity import Identity, Role
from auth.limits import LOOKUP_TIMES, Allowance, RateLimits, Rule, address_subject

SERVERS_TIMES = 100
"""How many times as much publishers and administrators may."""

_OF_BEARERS = frozenset({Rule.DEFAULT, Rule.LOOKUP})
"""Counted by who asks; without a good token, and all else, by address."""

EXPOSED_HEADERS = (
    "RateLimit",
    "RateLimit-Policy",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
)


class HttpLimits:
    """What a `Dispatcher` asks before it lets a request in.

    `requests_of` is the quota of an identity's plan, None where the plan says nothing of it.
    """

    def __init__(
        self,
        limits: RateLimits,
        *,
        address_of: Callable[[Request], str],
        requests_of: Callable[[Identity], int | None] = lambda _: None,
    ) -> None:
        self._limits = limits
        self._address_of = address_of
        self._requests_of = requests_of

    async def __call__(self, request: Request, identity: Identity | None, rule: str) -> None:
        """Take one of what the caller has left, and let the answer say so. Raises RateLimited."""
        if identity is None or rule not in _OF_BEARERS:
            rule = Rule.DEFAULT if rule == Rule.LOOKUP else rule
            allowance = await self._limits.take(rule, address_subject(self._address_of(request)))
        else:
            quota = self._quota(identity, rule)
            allowance = await self._limits.take(rule, f"user:{identity.user}", quota=quota)
            if identity.scopes is not None:
                of_key = await self._limits.take(rule, f"key:{identity.token_id}", quota=quota)
                allowance = min(allowance, of_key, key=lambda one: one.remaining)
        response_headers(request.scope).update(headers_of(allowance))

    async def look(self, identity: Identity) -> Allowance:
        """What a bearer has left now; raises RateLimited where that is nothing."""
        return await self._limits.take(
            Rule.DEFAULT, f"user:{identity.user}", 0, quota=self._quota(identity, Rule.DEFAULT)
        )

    def _quota(self, identity: Identity, rule: str) -> int | None:
        if identity.role is not Role.USER:
            return SERVERS_TIMES * self._limits.limits[rule].quota
        requests = self._requests_of(identity)
        return requests if requests is None or rule != Rule.LOOKUP else LOOKUP_TIMES * requests


def response_headers(scope: Scope) -> dict[str, str]:
    """Headers that whatever answers this request will have, unless it brings its own; see `hub.http.edge`."""
    headers: dict[str, str] = scope.setdefault("response_headers", {})
    return headers


def headers_of(allowance: Allowance) -> dict[str, str]:
    """An allowance as headers."""
    rule, limit, remaining = allowance.rule, allowance.limit, allowance.remaining
    reset_s = math.ceil(allowance.resets_in_s)
    return {
        "RateLimit-Policy": f'"{rule}";q={limit};w={math.ceil(allowance.window_s)}',
        "RateLimit": f'"{rule}";r={remaining};t={reset_s}',
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(reset_s),
    }


def refusal_headers(allowance: Allowance) -> dict[str, str]:
    """The same for what was refused, with when to try again."""
    return {**headers_of(allowance), "Retry-After": str(max(1, math.ceil(allowance.resets_in_s)))}
