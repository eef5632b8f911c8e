"""The second factor, from its first code to its last."""

import pytest

from tests.hub.live import Hub, until
from tests.hub.people import Person


@pytest.fixture
async def asha(hub: Hub) -> Person:
    person = Person(hub)
    await person.register(name="Asha")
    return person


async def test_a_login_needs_a_code_once_it_is_on_and_takes_each_code_once(hub: Hub, asha: Person) -> None:
    codes = await asha.enable_second_factor()
    assert len(set(codes)) == 10
    used, fresh = asha.code(), asha.code(1)
    answer = await asha.login()
    assert answer.data.keys() == {"two_factor_required", "challenge", "methods", "expires_in"}
    assert (answer.data["two_factor_required"], answer.data["methods"]) == (True, ["totp"])
    challenge = answer.data["challenge"]
    replayed = await asha.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": used})
    assert (replayed.status, replayed.code) == (401, "UNAUTHORIZED")
    good = await asha.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": fresh})
    assert good.status == 200
    asha.tokens = good.data
    assert (await asha.ask("GET", "auth/2fa")).data == {"enabled": True, "recovery_codes_left": 10}
    again = await asha.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": codes[0]})
    assert again.status == 401


async def test_a_challenge_is_no_token(hub: Hub, asha: Person) -> None:
    await asha.enable_second_factor()
    challenge = (await asha.login()).data["challenge"]
    for token in (challenge,):
        assert (await asha.ask("GET", "users/me", Authorization=f"Bearer {token}")).status == 401


async def test_a_recovery_code_stands_in_once(hub: Hub, asha: Person) -> None:
    codes = await asha.enable_second_factor()
    for expected in (200, 401):
        challenge = (await asha.login()).data["challenge"]
        answer = await Person(hub).ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": codes[0].upper()})
        assert answer.status == expected


async def test_a_challenge_bears_five_wrong_codes(hub: Hub, asha: Person) -> None:
    codes = await asha.enable_second_factor()
    challenge = (await asha.login()).data["challenge"]
    stranger = Person(hub)
    for _ in range(5):
        answer = await stranger.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": "000000"})
        assert answer.status == 401
    answer = await stranger.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": codes[0]})
    assert answer.status == 401
    challenge = (await asha.login()).data["challenge"]
    answer = await stranger.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": codes[0]})
    assert answer.status == 200


async def test_a_code_comes_by_mail_where_the_address_is_verified(hub: Hub, asha: Person) -> None:
    await asha.enable_second_factor()
    challenge = (await asha.login()).data["challenge"]
    refused = await asha.ask("POST", "auth/2fa/send", {"challenge": challenge, "channel": "email"})
    assert (refused.status, refused.code) == (400, "BAD_REQUEST")
    token = await asha.link_token("verify-email")
    await asha.ask("POST", "auth/verify-email", {"token": token})
    login = await asha.login()
    assert login.data["methods"] == ["totp", "email"]
    challenge = login.data["challenge"]
    assert (await asha.ask("POST", "auth/2fa/send", {"challenge": challenge, "channel": "email"})).status == 202
    code = await asha.code_by_mail()
    answer = await asha.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": code})
    assert answer.status == 200
    again = await asha.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": code})
    assert again.status == 401


async def test_a_number_is_verified_by_sms_and_takes_codes_then(hub: Hub, asha: Person) -> None:
    outbox = hub.settings.data_dir / "outbox"

    def code_of(count: int) -> str:
        texts = sorted(outbox.glob("*.txt"), key=lambda path: path.stat().st_mtime_ns)
        assert len(texts) == count
        words = texts[-1].read_text().replace(".", " ").replace(":", " ").split()
        return next(word for word in words if len(word) == 6 and word.isdigit())

    await asha.ask("PUT", "users/me", {"phone": "+91 98200 12345"})
    sent = await asha.ask("POST", "users/me/phone/send")
    assert sent.status == 202
    await until(lambda: len(list(outbox.glob("*.txt"))) == 1)
    body = {"challenge": sent.data["challenge"], "code": code_of(1)}
    assert (await asha.ask("POST", "users/me/phone/verify", body | {"code": "12345x"})).status == 401
    assert (await asha.ask("POST", "users/me/phone/verify", body)).data["phone_verified"] is True
    assert (await asha.ask("POST", "users/me/phone/send")).status == 409
    await asha.enable_second_factor()
    login = await asha.login()
    assert login.data["methods"] == ["totp", "sms"]
    challenge = login.data["challenge"]
    assert (await asha.ask("POST", "auth/2fa/send", {"challenge": challenge, "channel": "sms"})).status == 202
    await until(lambda: len(list(outbox.glob("*.txt"))) == 2)
    answer = await asha.ask("POST", "auth/2fa/verify", {"challenge": challenge, "code": code_of(2)})
    assert answer.status == 200


async def test_it_goes_off_with_the_password_or_a_code_and_not_without(hub: Hub, asha: Person) -> None:
    codes = await asha.enable_second_factor()
    assert (await asha.ask("POST", "auth/2fa/setup")).status == 409
    assert (await asha.ask("POST", "auth/2fa/disable", {})).status == 400
    for body in ({"password": "wrong-Tram-81"}, {"code": "000000"}):
        answer = await asha.ask("POST", "auth/2fa/disable", body)
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    renewed = await asha.ask("POST", "auth/2fa/recovery-codes", {"code": codes[0]})
    assert not set(renewed.data["recovery_codes"]) & set(codes)
    assert (await asha.ask("POST", "auth/2fa/disable", {"code": codes[1]})).status == 403
    assert (await asha.ask("POST", "auth/2fa/disable", {"password": asha.password})).status == 200
    assert (await asha.ask("GET", "auth/2fa")).data["enabled"] is False
    assert "access_token" in (await asha.login()).data
    assert (await asha.ask("POST", "auth/2fa/disable", {"password": asha.password})).status == 409


async def test_an_unconfirmed_secret_asks_nobody_for_a_code(hub: Hub, asha: Person) -> None:
    setup = (await asha.ask("POST", "auth/2fa/setup")).data
    assert setup["uri"].startswith("otpauth://totp/")
    assert setup["qr_svg"].startswith("<svg")
    assert setup["secret"] in setup["uri"]
    assert (await asha.ask("POST", "auth/2fa/verify", {"code": "000000"})).status == 401
    assert "access_token" in (await asha.login()).data
