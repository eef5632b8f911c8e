import pytest

from auth.refusals import Reason, TokenRefused
from schemas.errors import ErrorCode


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told_in_words(reason: Reason) -> None:
    refused = TokenRefused(reason)
    assert refused.reason is reason
    assert refused.message
    assert refused.code is (ErrorCode.TOKEN_EXPIRED if reason is Reason.EXPIRED else ErrorCode.UNAUTHORIZED)


def test_no_two_reasons_sound_alike() -> None:
    assert len({TokenRefused(reason).message for reason in Reason}) == len(Reason)
