"""What a failure means for a delivery: again, or not, and when. Pure.

    Unavailable, Refused for now    again, exponentially later, with full jitter, until the delivery is too late
    HANDSET                         once more, some time later
    ADDRESS, MESSAGE                dead
    PROVIDER                        again: its circuit breaker sees to it that nobody asks until it may fare better
    OutcomeUnknown                  in doubt, unless to send twice is harmless

Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

from typing import Literal, NamedTuple, TypeAlias

from notifiers.errors import Blame, OutcomeUnknown, Refused
from schemas.errors import Unavailable

FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 60_000
HANDSET_PAUSE_MS = 60_000
ASK_AFTER_MS = 2_000
"""How long a callback has for settling a doubt before the provider is asked."""
ASK_AT_LEAST_EVERY_MS = 60_000
LOOK_AFTER_MS = 60_000
"""How long the provider has for reporting by itself."""
LOOK_AT_LEAST_EVERY_MS = 900_000
SILENT_AFTER_MS = 3_600_000
"""After so long without news nobody waits for any."""

Failure: TypeAlias = Refused | Unavailable | OutcomeUnknown


class Next(NamedTuple):
    """What is to become of the delivery."""

    what: Literal["again", "dead", "doubt"]
    pause_ms: int = 0


def after(
    failure: Failure, *, tries: int, chance: float, unreached: int = 0, reported: bool = False, harmless: bool = False
) -> Next:
    """What is to come after a failure.

    `tries` attempts were made, `unreached` of them ended at a handset that was off; `chance` in [0, 1) is the jitter.
    `reported`: it came by a report, after the provider had taken the message over; `harmless`: so is to send it twice.
    """
    match failure:
        case OutcomeUnknown():
            return Next("again", backoff_ms(tries, chance)) if harmless else Next("doubt", ASK_AFTER_MS)
        case Refused(blame=Blame.HANDSET):
            return Next("again", HANDSET_PAUSE_MS) if unreached == 0 else Next("dead")
        case Refused(blame=Blame.PROVIDER) if reported:
            return Next("dead")  # each further try would be taken over, paid for, and fail in the same way
        case Refused(permanent=True, blame=blame) if blame is not Blame.PROVIDER:
            return Next("dead")
        case Refused(retry_after_s=float() | int() as least_s):
            return Next("again", max(round(least_s * 1000), backoff_ms(tries, chance)))
        case _:
            return Next("again", backoff_ms(tries, chance))


def backoff_ms(tries: int, chance: float) -> int:
    """The pause after so many tries."""
    return round(chance * min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(tries - 1, 20)))


def ask_again_ms(waited_ms: int) -> int:
    """The pause until a provider is asked again about an attempt in doubt: as long as it has lasted."""
    return min(max(waited_ms, ASK_AFTER_MS), ASK_AT_LEAST_EVERY_MS)


def look_again_ms(waited_ms: int) -> int:
    """The pause until a provider that doesn't report is asked again."""
    return min(max(waited_ms, LOOK_AFTER_MS), LOOK_AT_LEAST_EVERY_MS)
