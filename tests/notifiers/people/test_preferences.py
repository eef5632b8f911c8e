"""What is sent is checked to the last field; what is stored is read as far as it makes sense."""

from typing import Any

import msgspec
import pytest

from notifiers.outbox.delivery import Kind
from notifiers.people.preferences import Notifications, Unsubscribed, check, read, stored, with_again, without
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode

EMAIL = Unsubscribed(channel=Way.EMAIL)


def given(**fields: Any) -> Notifications:
    return msgspec.convert(fields, Notifications)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"channel": {}}, "channel"),
        ({"channels": {"fax": True}}, "$.channels"),
        ({"channels": {"sms": 1}}, "$.channels.sms"),
        ({"kinds": {"test": {}}}, "$.kinds"),
        ({"quiet_hours": [{"start": "24:00", "end": "07:00"}]}, "$.quiet_hours[0].start"),
        ({"quiet_hours": [{"start": "22:00\n", "end": "07:00"}]}, "$.quiet_hours[0].start"),
        ({"quiet_hours": [{"start": "22:00"}]}, "$.quiet_hours[0]"),
        ({"quiet_hours": [{"start": "22:00", "end": "07:00", "days": ["monday"]}]}, "$.quiet_hours[0].days[0]"),
        ({"quiet_hours": [{"start": "22:00", "end": "07:00", "action": "wait"}]}, "$.quiet_hours[0].action"),
        ({"quiet_hours": [{"start": "22:00", "end": "07:00"}] * 15}, "$.quiet_hours"),
        ({"digest": {"minutes": 0}}, "$.digest.minutes"),
        ({"sms_per_month": -1}, "$.sms_per_month"),
        ({"unsubscribed": [{"channel": "email", "kind": "test"}]}, "$.unsubscribed[0].kind"),
    ],
)
def test_what_is_no_wish_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        given(**fields)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("window", "word"),
    [({"action": "downgrade"}, "instead"), ({"action": "drop", "to": "push"}, "downgrade")],
)
def test_another_channel_goes_with_downgrading_alone(window: dict[str, str], word: str) -> None:
    with pytest.raises(CommandError) as caught:
        check(given(quiet_hours=[{"start": "22:00", "end": "07:00"} | window]))
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert word in caught.value.message
    assert "`$.notifications.quiet_hours[0].to`" in caught.value.message
    check(given(quiet_hours=[{"start": "22:00", "end": "07:00", "action": "downgrade", "to": "push"}]))


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"email": True, "alerts": {"sms": False}},
        {"channels": ["email"], "quiet_hours": "22-07", "digest": 15, "sms_per_month": "many"},
        {"channels": {"fax": True}, "critical_override": "yes", "unsubscribed": [{"channel": "fax"}]},
    ],
)
def test_what_was_stored_before_there_was_a_form_means_nothing(kept: dict[str, Any]) -> None:
    assert read(kept) == Notifications()


def test_what_makes_sense_of_it_counts() -> None:
    known = read({"channels": {"sms": False}, "digest": "often", "colour": "red"})
    assert not known.channels.on(Way.SMS)
    assert known.channels.on(Way.EMAIL)
    assert known.digest is None


def test_what_is_stored_comes_back() -> None:
    wished = given(
        channels={"voice": False},
        kinds={"notice": {"email": False}},
        quiet_hours=[{"start": "22:00", "end": "07:00", "days": ["sat"], "channels": ["sms"], "action": "drop"}],
        critical_override=True,
        digest={"minutes": 15, "channels": ["email"]},
        sms_per_month=5,
        unsubscribed=[{"channel": "sms", "kind": "alert"}],
    )
    assert read(stored(wished, {})) == wished


def test_unsubscribing_outlives_preferences_that_do_not_name_it() -> None:
    kept = without({"channels": {"sms": False}}, EMAIL)
    after = read(stored(given(critical_override=True), kept))
    assert after.said_no(Way.EMAIL, Kind.ALERT)
    assert after.channels.on(Way.SMS)
    assert not read(stored(given(unsubscribed=[]), kept)).said_no(Way.EMAIL, Kind.ALERT)


def test_unsubscribing_twice_is_once_and_is_undone_once() -> None:
    kept = without(without({}, EMAIL), EMAIL)
    assert read(kept).unsubscribed == (EMAIL,)
    assert read(with_again(kept, EMAIL)).unsubscribed == ()
    assert read(with_again({}, EMAIL)).unsubscribed == ()


def test_no_to_a_channel_takes_the_place_of_no_to_its_kinds() -> None:
    kept = without({}, Unsubscribed(channel=Way.EMAIL, kind="alert"))
    assert read(kept).said_no(Way.EMAIL, Kind.TEST)
    assert not read(kept).said_no(Way.EMAIL, Kind.NOTICE)
    assert not read(kept).said_no(Way.SMS, Kind.ALERT)
    assert read(without(kept, EMAIL)).unsubscribed == (EMAIL,)
