import pickle
import re
from pathlib import Path

import pytest

from schemas.errors import (
    CLOSE_REASON,
    HTTP_STATUS,
    CloseCode,
    CommandError,
    Disconnect,
    ErrorCode,
    SettingsError,
    TickhubError,
    Unavailable,
    UnsubscribeCode,
)

CODES = """
BAD_REQUEST UNAUTHORIZED TOKEN_EXPIRED PERMISSION_DENIED UNKNOWN_CHANNEL INVALID_SYMBOL NOT_FOUND CONFLICT
ALREADY_SUBSCRIBED LIMIT_EXCEEDED RATE_LIMITED UNRECOVERABLE_POSITION NOT_AVAILABLE INTERNAL
"""
CLOSES_THAT_RECONNECT = {3001, 3005, 3008, 3012}
CLOSES_THAT_DO_NOT = {3500, 3502, 3503, 3504, 3507, 3509}


def test_error_codes_are_the_contract_s() -> None:
    assert {str(code) for code in ErrorCode} == set(CODES.split())


def test_close_codes_hold_the_contract_s_and_lie_in_its_ranges() -> None:
    codes = {int(code) for code in CloseCode}
    assert codes >= CLOSES_THAT_RECONNECT | CLOSES_THAT_DO_NOT
    assert all(3000 <= code < 4000 for code in codes)


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_has_a_status_that_the_contract_allows(code: ErrorCode) -> None:
    assert HTTP_STATUS[code] in {400, 401, 403, 404, 409, 422, 429, 500, 502, 503}


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_has_a_reason_that_fits_a_close_frame(code: CloseCode) -> None:
    assert 0 < len(CLOSE_REASON[code].encode()) <= 123
    assert Disconnect(code).reason == CLOSE_REASON[code]
    assert str(Disconnect(code)) == f"{code.value} {CLOSE_REASON[code]}"


def test_only_a_lost_position_asks_to_subscribe_again() -> None:
    assert [code for code in UnsubscribeCode if code >= 2500] == [UnsubscribeCode.INSUFFICIENT_STATE]


@pytest.mark.parametrize(
    ("code", "temporary"),
    [(code, code in {ErrorCode.RATE_LIMITED, ErrorCode.NOT_AVAILABLE, ErrorCode.INTERNAL}) for code in ErrorCode],
)
def test_a_command_error_says_whether_trying_again_may_help(code: ErrorCode, temporary: bool) -> None:
    error = CommandError(code, "why")
    assert error.temporary is temporary
    assert str(error) == f"{code}: why"


@pytest.mark.parametrize(
    "error",
    [
        CommandError(ErrorCode.BAD_REQUEST, "why"),
        Disconnect(CloseCode.SLOW),
        Unavailable("Redis", "timed out"),
        SettingsError(["PORT: x", "HOST: y"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_is_ours_and_survives_pickling(error: TickhubError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(error, TickhubError)
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_settings_error_shows_a_line_for_each_fault() -> None:
    assert str(SettingsError(["PORT: x", "HOST: y"])) == "PORT: x\nHOST: y"


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Whoever adds an error draws it."""
    text = (Path(__file__).parents[2] / "schemas" / "errors.py").read_text(encoding="utf-8")
    drawn = set(re.findall(r"[├└]── (\w+)", text))
    assert drawn == {kind.__name__ for kind in TickhubError.__subclasses__() if kind.__module__ == "schemas.errors"}
