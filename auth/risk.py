"""How alarming a failed login is, from 0 to 100: a sum of points that anybody can add up by hand.

    every failed login                                               10
    each earlier failure on the account in the last 15 minutes        6, up to 30
    each earlier failure from the address in the last 15 minutes      3, up to 30
    no account of that name: somebody is guessing                    10
    the account is an administrator's                                15
    the password was right and the second factor wrong               20, or -20 where it was right too
    the account has never been used from this address                10
    the account has never been used by this program                   5

and the sum is cut off at 0 and 100. Nothing is decided by it: it says where to look first.
"""

import msgspec

WINDOW_S = 900
"""The 15 minutes in which failures count."""

_FAILURE = 10
_ON_ACCOUNT, _ON_ACCOUNT_MOST = 6, 30
_FROM_ADDRESS, _FROM_ADDRESS_MOST = 3, 30
_NO_ACCOUNT = 10
_ADMIN = 15
_SECOND_FACTOR = 20
_NEW_ADDRESS = 10
_NEW_AGENT = 5


class LoginFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a login that failed; the failures are those before it.

    `second_factor` is None where it wasn't asked for, else whether it was right.
    """

    account_failures: int = 0
    address_failures: int = 0
    account_exists: bool = True
    admin: bool = False
    second_factor: bool | None = None
    known_address: bool = True
    known_agent: bool = True


def risk_of_failure(facts: LoginFacts) -> int:
    """0 to 100, by the table above."""
    points = _FAILURE
    points += min(facts.account_failures * _ON_ACCOUNT, _ON_ACCOUNT_MOST)
    points += min(facts.address_failures * _FROM_ADDRESS, _FROM_ADDRESS_MOST)
    if facts.second_factor is not None:
        points += -_SECOND_FACTOR if facts.second_factor else _SECOND_FACTOR
    points += _of_account(facts) if facts.account_exists else _NO_ACCOUNT
    return max(0, min(points, 100))


def _of_account(facts: LoginFacts) -> int:
    points = _ADMIN if facts.admin else 0
    points += 0 if facts.known_address else _NEW_ADDRESS
    return points + (0 if facts.known_agent else _NEW_AGENT)
