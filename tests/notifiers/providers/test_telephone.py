"""Numbers that no SMS or call of ours can or should reach are told apart before anything is sent."""

import pytest

from notifiers.errors import Blame, Refused
from notifiers.providers.telephone import check_number, reachable
from notifiers.way import Way
from schemas.errors import CommandError

MOBILE, LANDLINE = "+919876543210", "+912222222222"


@pytest.mark.parametrize("way", [Way.SMS, Way.VOICE])
@pytest.mark.parametrize("number", [MOBILE, "+447911123456", "+15005550006"])
def test_a_mobile_telephone_takes_both(number: str, way: Way) -> None:
    check_number(number, way)
    assert reachable(number, way) == number


def test_a_landline_takes_calls_and_no_sms() -> None:
    check_number(LANDLINE, Way.VOICE)
    with pytest.raises(CommandError, match=r"Only a mobile telephone takes SMS - at `\$me`"):
        check_number(LANDLINE, Way.SMS, "$me")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("9876543210", "with its country code"),
        ("", "with its country code"),
        ("+", "with its country code"),
        ("call me", "with its country code"),
        ("+91" + "9" * 300, "with its country code"),
        ("+9111", "no such telephone number"),
        ("+919876", "no such telephone number"),
        ("+9198765432101234", "no such telephone number"),
    ],
)
@pytest.mark.parametrize("way", [Way.SMS, Way.VOICE])
def test_what_is_no_number_is_told(number: str, told: str, way: Way) -> None:
    with pytest.raises(CommandError, match=told):
        check_number(number, way)


def test_whoever_earns_from_each_call_is_not_called() -> None:
    with pytest.raises(CommandError, match="not called"):
        check_number("+449098790000", Way.VOICE)


@pytest.mark.parametrize("number", [None, LANDLINE, "nonsense"])
def test_a_provider_is_not_asked_to_reach_them(number: str | None) -> None:
    with pytest.raises(Refused) as caught:
        reachable(number, Way.SMS)
    assert (caught.value.permanent, caught.value.blame) == (True, Blame.ADDRESS)
    assert "222" not in str(caught.value)
