"""Entries of the audit trail, with what a request says of who asks from where."""

from typing import Any

from auth.audit import Event, Level
from hub.http.endpoint import Call


def event(
    call: Call,
    action: str,
    *,
    level: Level = Level.INFO,
    actor: str | None = None,
    target: str | None = None,
    risk: int | None = None,
    **details: Any,
) -> Event:
    """What the caller of a request did; `actor` is the bearer where nothing else is said."""
    bearer = call.identity.user if call.identity is not None else None
    return Event(
        level=level,
        action=action,
        actor=actor if actor is not None else bearer,
        target=target,
        address=call.address,
        user_agent=call.user_agent,
        request_id=call.request_id,
        risk=risk,
        details=details,
    )
