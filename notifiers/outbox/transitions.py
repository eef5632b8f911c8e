"""What becomes of a delivery and its attempt when something is heard of them. Pure: rows in, rows out.

A status never goes back: what counts is the furthest that was ever told, in whatever order. Only what has not been
taken over goes back to the queue.
"""

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox import retries
from notifiers.outbox.delivery import EXPIRED, FINAL, IN_DOUBT, NO_REPORT, Attempt, AttemptState, Delivery, Status
from notifiers.outbox.gates import Hold
from notifiers.outbox.provider import Outcome
from notifiers.outbox.retries import Failure
from schemas.errors import Unavailable

RANK = {
    Status.QUEUED: 0,
    Status.CALLING: 0,
    Status.UNKNOWN: 0,
    Status.ACCEPTED: 1,
    Status.SENT: 2,
    Status.DELIVERED: 3,
    Status.READ: 4,
}
"""How far; the others are ends of another kind."""

MAX_REASON = 64
MAX_PROVIDER_STATUS = 32
MAX_PROVIDER_ID = 128

LOST = "worker lost"
"""The reason of an attempt whose worker didn't live to tell."""
UNAVAILABLE = "provider unavailable"

_HIGHEST_COST = 1_000
_REFUSALS = frozenset({AttemptState.REFUSED, AttemptState.UNREACHED})
_OPEN = frozenset({AttemptState.CALLING, AttemptState.UNKNOWN})
_ARRIVED = frozenset({Status.DELIVERED, Status.READ})
_AWAITED = frozenset({Status.CALLING, Status.UNKNOWN, Status.ACCEPTED, Status.SENT})

Both: TypeAlias = tuple[Delivery, Attempt]


class Luck(msgspec.Struct, frozen=True, kw_only=True):
    """What the pause after a failure depends on besides; see `retries.after`."""

    chance: float
    unreached: int = 0
    harmless: bool = False


def taken(delivery: Delivery, attempt: Attempt, outcome: Outcome, now_ms: int) -> Both:
    """The provider has it. That counts whenever it is heard, of whichever attempt."""
    status = Status(outcome.status)
    if attempt.state in _REFUSALS and RANK[status] < RANK[Status.DELIVERED]:
        return delivery, attempt  # it took it over first, and refused it then
    heard = _noted(delivery, attempt, outcome)
    told = replace(
        attempt,
        state=AttemptState.TAKEN,
        provider_id=_cut(outcome.id, MAX_PROVIDER_ID) or attempt.provider_id,
        finished_at_ms=attempt.finished_at_ms or now_ms,
    )
    doubted = delivery.status is Status.DEAD and delivery.reason == IN_DOUBT
    if not doubted and RANK[status] <= RANK.get(delivery.status, RANK[Status.READ]):
        return heard, told
    return _raised(heard, status, now_ms), told


def _raised(delivery: Delivery, status: Status, now_ms: int) -> Delivery:
    return replace(
        delivery,
        status=status,
        reason=None,
        due_at_ms=now_ms + retries.LOOK_AFTER_MS,
        sent_at_ms=delivery.sent_at_ms or now_ms,
        finished_at_ms=now_ms if status in FINAL else None,
    )


def _noted(delivery: Delivery, attempt: Attempt, outcome: Outcome) -> Delivery:
    """What the provider says of the delivery beside how far it has come; of an older attempt only what it costs."""
    first = attempt.state is not AttemptState.TAKEN
    added = min(max(0, outcome.cost), _HIGHEST_COST)
    cost = delivery.cost + added if first else max(delivery.cost, added)
    if attempt.number < delivery.attempts:
        return replace(delivery, cost=cost)
    return replace(
        delivery,
        cost=cost,
        provider=attempt.provider,
        provider_id=_cut(outcome.id, MAX_PROVIDER_ID) or delivery.provider_id,
        provider_status=_cut(outcome.detail, MAX_PROVIDER_STATUS) or delivery.provider_status,
    )


def failed(delivery: Delivery, attempt: Attempt, failure: Failure, now_ms: int, luck: Luck) -> Both:
    """The answer to the delivery's present attempt, by whoever holds its lease."""
    told = failed_attempt(attempt, failure, now_ms)
    following = retries.after(
        failure, tries=attempt.number, chance=luck.chance, unreached=luck.unreached, harmless=luck.harmless
    )
    return _following(delivery, following, told.reason, failure, now_ms), told


def reported(delivery: Delivery, attempt: Attempt, failure: Refused, now_ms: int, luck: Luck) -> Both:
    """The provider says by itself that an attempt has failed. Once it has arrived, that counts no more."""
    arrived = delivery.status in _ARRIVED and attempt.number == delivery.attempts
    if arrived or attempt.state in _REFUSALS:
        return delivery, attempt
    told = failed_attempt(attempt, failure, now_ms)
    if attempt.number < delivery.attempts or delivery.status not in _AWAITED:
        return delivery, told
    following = retries.after(
        failure, tries=attempt.number, chance=luck.chance, unreached=luck.unreached, reported=True
    )
    return _following(delivery, following, told.reason, failure, now_ms), told


def _following(delivery: Delivery, following: retries.Next, why: str | None, failure: Failure, now_ms: int) -> Delivery:
    match following.what:
        case "dead":
            return dead(delivery, why, now_ms)
        case "doubt":
            return replace(delivery, status=Status.UNKNOWN, reason=IN_DOUBT, due_at_ms=now_ms + following.pause_ms)
        case "again":
            reason = why if isinstance(failure, Refused) else UNAVAILABLE
            return queued(delivery, now_ms + following.pause_ms, reason)


def failed_attempt(attempt: Attempt, failure: Failure, now_ms: int) -> Attempt:
    """What is noted of the attempt alone; nothing where something better is known of it."""
    match failure:
        case Unavailable(why=reason):
            state = AttemptState.UNAVAILABLE
        case OutcomeUnknown(why=reason):
            state = AttemptState.UNKNOWN
        case Refused(blame=Blame.HANDSET, reason=reason):
            state = AttemptState.UNREACHED
        case Refused(reason=reason):
            state = AttemptState.REFUSED
    return replace(attempt, state=state, reason=_cut(reason, MAX_REASON), finished_at_ms=now_ms)


def late(attempt: Attempt, failure: Failure, now_ms: int) -> Attempt:
    """A failure told by who has lost the lease: others have decided by now, but the attempt may still be in doubt."""
    return failed_attempt(attempt, failure, now_ms) if attempt.state in _OPEN else attempt


def lost(attempt: Attempt, now_ms: int) -> Attempt:
    """The lease of a call has ended without a result."""
    return replace(attempt, state=AttemptState.UNKNOWN, reason=LOST, finished_at_ms=now_ms)


def queued(delivery: Delivery, due_at_ms: int, reason: str | None) -> Delivery:
    """To be sent later, but never later than it would be too late: then it is to be noticed."""
    return replace(
        delivery,
        status=Status.QUEUED,
        reason=_cut(reason, MAX_REASON),
        due_at_ms=min(due_at_ms, delivery.expires_at_ms),
        finished_at_ms=None,
    )


def dead(delivery: Delivery, reason: str | None, now_ms: int) -> Delivery:
    """No more tries, until somebody redrives it."""
    return replace(delivery, status=Status.DEAD, reason=_cut(reason, MAX_REASON), finished_at_ms=now_ms)


def expired(delivery: Delivery, now_ms: int) -> Delivery:
    """Too late."""
    return dead(delivery, EXPIRED, now_ms)


def ended(delivery: Delivery, status: Status, reason: str, now_ms: int) -> Delivery:
    """Skipped or cancelled."""
    return replace(delivery, status=status, reason=_cut(reason, MAX_REASON), finished_at_ms=now_ms)


def held(delivery: Delivery, hold: Hold) -> Delivery:
    """Waits, and where the hold `keeps` it, it lives as long after that as it would have from now on."""
    if hold.keeps:
        longer_ms = max(0, hold.until_ms - delivery.due_at_ms)
        delivery = replace(delivery, expires_at_ms=delivery.expires_at_ms + longer_ms)
    return queued(delivery, hold.until_ms, hold.reason)


def absent(delivery: Delivery, attempt: Attempt, now_ms: int) -> Both:
    """The provider was found not to have what was in doubt."""
    return queued(delivery, now_ms, None), replace(attempt, state=AttemptState.UNTAKEN)


def doubted(delivery: Delivery, since_ms: int, now_ms: int) -> Delivery:
    """Nobody can tell yet, since it was attempted then; at the end of its life, nobody can tell."""
    if now_ms >= delivery.expires_at_ms:
        return dead(delivery, IN_DOUBT, now_ms)
    due_at_ms = now_ms + retries.ask_again_ms(now_ms - since_ms)
    return replace(delivery, due_at_ms=min(due_at_ms, delivery.expires_at_ms))


def unattempted(delivery: Delivery, now_ms: int) -> Delivery:
    """It is awaited, and no attempt of it is written down: queued where there was none, else what can be known."""
    if delivery.status is not Status.UNKNOWN:
        return silent(delivery, now_ms)
    if not delivery.attempts:
        return queued(delivery, now_ms, None)
    return doubted(delivery, delivery.created_at_ms, now_ms)


def silent(delivery: Delivery, now_ms: int) -> Delivery:
    """The provider has it and says nothing new."""
    waited_ms = now_ms - (delivery.sent_at_ms or now_ms)
    if waited_ms < retries.SILENT_AFTER_MS:
        return replace(delivery, due_at_ms=now_ms + retries.look_again_ms(waited_ms))
    reason = NO_REPORT if delivery.status is Status.ACCEPTED else delivery.reason
    return replace(delivery, status=Status.SENT, reason=reason, finished_at_ms=now_ms)


def _cut(text: str | None, most: int) -> str | None:
    """As much as the column holds, of what a database can hold: providers say all sorts of things."""
    return None if text is None else text.replace("\0", "").encode(errors="replace").decode()[:most]
