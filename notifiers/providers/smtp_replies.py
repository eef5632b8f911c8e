"""What a mail server's refusal means: for good or for now, and whose fault it is (RFC 5321, 4.2; RFC 3463).

The basic code alone says little, since servers use 550 for everything; the enhanced one, where a server gives it, says
what it is about. Of an address we say only where it is sure that it can't be reached: it is never written to again.
"""

import re
from typing import Literal

from notifiers.errors import Blame, Refused

Step = Literal["sender", "recipient", "content"]
"""Where in the exchange a server refuses: at MAIL, at RCPT, or at DATA and its end."""

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")

_NO_LOGIN = frozenset({530, 534, 535, 538})
_NO_MAILBOX = frozenset({550, 551, 553})
"""Without an enhanced code, at RCPT: no such mailbox, moved, no such name."""
_GONE = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1)})
"""Bad mailbox, system or syntax; moved; a domain that takes no mail; a mailbox that is disabled."""
_OURS = frozenset({(1, 7), (1, 8), (7, 8), (7, 9), (7, 11), (7, 14)})
"""Our own address is bad; authentication is missing, too weak, or in need of encryption or trust."""


def refusal(code: int, text: str, step: Step) -> Refused:
    """The refusal that a reply of 400 to 599 is. What is ours to mend is never for good."""
    enhanced = _enhanced(code, text)
    blame = _blame(code, enhanced, step)
    reason = f"SMTP {code}" if enhanced is None else f"SMTP {code} {code // 100}.{enhanced[0]}.{enhanced[1]}"
    return Refused(reason, permanent=code >= 500 and blame is not Blame.PROVIDER, blame=blame)


def _enhanced(code: int, text: str) -> tuple[int, int] | None:
    """Subject and detail of the enhanced code, where it is of the same class as the basic one."""
    found = _ENHANCED.match(text)
    if found is None or int(found[1]) != code // 100:
        return None
    return int(found[2]), int(found[3])


def _blame(code: int, enhanced: tuple[int, int] | None, step: Step) -> Blame:
    if code in _NO_LOGIN or enhanced in _OURS:
        return Blame.PROVIDER
    if code < 500:
        return Blame.MESSAGE
    if step == "sender":
        return Blame.PROVIDER
    if enhanced is None:
        return Blame.ADDRESS if step == "recipient" and code in _NO_MAILBOX else Blame.MESSAGE
    return Blame.ADDRESS if enhanced in _GONE else Blame.MESSAGE
