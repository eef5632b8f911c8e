"""What went wrong on the way to a person is said without saying who it was."""

from notifiers.errors import OutcomeUnknown, Refused


def test_a_refusal_says_whether_it_is_for_good() -> None:
    assert str(Refused("SMTP 550", permanent=True)) == "refused for good: SMTP 550"
    assert str(Refused("SMTP 450", permanent=False)) == "refused for now: SMTP 450"


def test_an_unknown_outcome_names_the_provider() -> None:
    assert str(OutcomeUnknown("Twilio", "HTTP 500")) == "Twilio may have taken it: HTTP 500"
