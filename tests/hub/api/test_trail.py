"""An entry of the audit trail says who asked, from where, and which request it was."""

from starlette.requests import Request

from auth.audit import Event, Level
from auth.identity import Identity
from hub.api.trail import event
from hub.http.endpoint import Call


def call(user: str | None) -> Call:
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"user-agent", b"Firefox/1")]}
    identity = None if user is None else Identity(user=user, token_id="t", issued_at=0, expires_at=1)
    return Call(request=Request(scope), identity=identity, address="192.0.2.7", language="en", request_id="r1")


def test_the_bearer_is_the_actor_and_words_of_ours_are_details() -> None:
    assert event(call("7"), "key.created", level=Level.WARNING, target="k_1", scopes="market") == Event(
        level=Level.WARNING,
        action="key.created",
        actor="7",
        target="k_1",
        address="192.0.2.7",
        user_agent="Firefox/1",
        request_id="r1",
        details={"scopes": "market"},
    )


def test_another_actor_counts_more_than_the_bearer() -> None:
    assert event(call("7"), "publish", actor="k_1").actor == "k_1"
    assert event(call(None), "login.failed", actor="u_1", risk=40).actor == "u_1"


def test_without_a_bearer_nobody_is_the_actor() -> None:
    assert event(call(None), "password.reset_asked").actor is None
