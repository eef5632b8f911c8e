"""A user is shown with all that is known, which of somebody else's login is what the token says."""

from auth.account import Account, Status
from auth.identity import Identity, Plan, Role
from auth.preferences import Preference
from hub.api.account_views import UserView, account_view, user_view

CREATED_S = 1_795_405_500
"""Monday 23 November 2026, 09:15 in India."""
ACCOUNT = Account(
    id="u_1",
    email="asha@example.com",
    email_verified=True,
    name="Asha",
    phone=None,
    phone_verified=False,
    plan=Plan.PRO,
    role=Role.USER,
    status=Status.ACTIVE,
    created_at=CREATED_S,
    updated_at=CREATED_S,
    last_login_at=None,
    two_factor=True,
    has_password=True,
    credentials="0123456789abcdef",
)
BEARER = Identity(user="u_1", plan=Plan.BASIC, token_id="t", issued_at=0, expires_at=1)
WISHES = Preference(language="mr", theme="dark", timezone="Asia/Kolkata")


def test_an_account_is_shown_with_its_wishes_and_indian_times() -> None:
    shown = account_view(ACCOUNT, WISHES)
    assert (shown.language, shown.theme, shown.timezone) == ("mr", "dark", "Asia/Kolkata")
    assert (shown.created_at, shown.last_login_at) == ("2026-11-23T09:15:00.000+05:30", None)
    assert (shown.email, shown.two_factor) == ("asha@example.com", True)


def test_an_account_says_more_than_the_token() -> None:
    assert user_view(BEARER, ACCOUNT, WISHES) == account_view(ACCOUNT, WISHES)


def test_of_somebody_elses_login_the_token_says_it_all() -> None:
    assert user_view(BEARER, None, WISHES) == UserView(
        id="u_1", plan=Plan.BASIC, role=Role.USER, language="mr", theme="dark", timezone="Asia/Kolkata"
    )
