"""Telephone numbers: which of them an SMS or a call of ours may go to."""

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType

from notifiers.errors import Blame, Refused
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode

_TEXTED = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.PERSONAL_NUMBER})
_CALLED = _TEXTED | {PhoneNumberType.FIXED_LINE, PhoneNumberType.VOIP}
"""Not premium rates and shared costs: whoever gives such a number as theirs earns from each call."""


def check_number(number: str, way: Way, place: str = "$.phone") -> None:
    """Raises CommandError BAD_REQUEST, naming `place`, unless an SMS (or a call) can reach that number."""
    parsed = _parsed(number)
    if parsed is None:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "Expected a telephone number with its country code, such as +919876543210 - at `{place}`",
            place=place,
        )
    if not phonenumbers.is_valid_number(parsed):
        raise CommandError(ErrorCode.BAD_REQUEST, "There is no such telephone number - at `{place}`", place=place)
    kind = phonenumbers.number_type(parsed)
    if way is Way.SMS and kind not in _TEXTED:
        raise CommandError(ErrorCode.BAD_REQUEST, "Only a mobile telephone takes SMS - at `{place}`", place=place)
    if kind not in _CALLED:
        raise CommandError(ErrorCode.BAD_REQUEST, "Numbers of that kind are not called - at `{place}`", place=place)


def reachable(number: str | None, way: Way) -> str:
    """The number, as a provider takes it. Raises Refused, blaming the address."""
    try:
        check_number(number or "", way)
    except CommandError as exc:
        raise Refused(f"no {way} number", permanent=True, blame=Blame.ADDRESS) from exc
    return number or ""


def _parsed(number: str) -> PhoneNumber | None:
    """None for what is no number with a country code."""
    try:
        return phonenumbers.parse(number)
    except NumberParseException:
        return None
