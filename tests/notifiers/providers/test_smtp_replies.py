"""A refusal's codes tell for how long it holds, and whose fault it is."""

import pytest

from notifiers.errors import Blame
from notifiers.providers.smtp_replies import Step, refusal


@pytest.mark.parametrize(
    ("code", "text", "step", "reason", "permanent", "blame"),
    [
        (550, "5.1.1 no such user", "recipient", "SMTP 550 5.1.1", True, Blame.ADDRESS),
        (550, "5.1.10 null MX", "recipient", "SMTP 550 5.1.10", True, Blame.ADDRESS),
        (550, "5.2.1 disabled", "recipient", "SMTP 550 5.2.1", True, Blame.ADDRESS),
        (550, "5.1.1 no such user", "content", "SMTP 550 5.1.1", True, Blame.ADDRESS),
        (550, "no such user", "recipient", "SMTP 550", True, Blame.ADDRESS),
        (553, "", "recipient", "SMTP 553", True, Blame.ADDRESS),
        (550, "spam", "content", "SMTP 550", True, Blame.MESSAGE),
        (554, "go away", "recipient", "SMTP 554", True, Blame.MESSAGE),
        (552, "5.2.2 full", "recipient", "SMTP 552 5.2.2", True, Blame.MESSAGE),
        (550, "5.7.1 policy", "recipient", "SMTP 550 5.7.1", True, Blame.MESSAGE),
        (554, "5.7.1 spam", "content", "SMTP 554 5.7.1", True, Blame.MESSAGE),
        (550, "5.7.1 you may not send", "sender", "SMTP 550 5.7.1", False, Blame.PROVIDER),
        (553, "5.1.8 bad sender", "sender", "SMTP 553 5.1.8", False, Blame.PROVIDER),
        (530, "5.7.0 log in first", "sender", "SMTP 530 5.7.0", False, Blame.PROVIDER),
        (530, "", "recipient", "SMTP 530", False, Blame.PROVIDER),
        (450, "4.2.0 later", "recipient", "SMTP 450 4.2.0", False, Blame.MESSAGE),
        (451, "greylisted", "recipient", "SMTP 451", False, Blame.MESSAGE),
        (452, "4.3.1 full", "content", "SMTP 452 4.3.1", False, Blame.MESSAGE),
        (450, "5.1.1 a class that does not fit", "recipient", "SMTP 450", False, Blame.MESSAGE),
        (550, "5.1.1.1 an address", "recipient", "SMTP 550", True, Blame.ADDRESS),
        (550, "15.1.1", "content", "SMTP 550", True, Blame.MESSAGE),
    ],
)
def test_a_reply_is_judged(  # noqa: PLR0917
    code: int, text: str, step: Step, reason: str, permanent: bool, blame: Blame
) -> None:
    refused = refusal(code, text, step)
    assert (refused.reason, refused.permanent, refused.blame) == (reason, permanent, blame)
