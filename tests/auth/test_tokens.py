"""Who is taken for whom: tokens of our own, tokens from elsewhere, and everything that only looks like one."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import LANGUAGES, Plan, Role
from auth.refusals import MAX_TOKEN_BYTES, Reason, TokenRefused
from auth.tickets import Tickets
from auth.tokens import TokenIssuer, TokenVerifier
from schemas.errors import CommandError, ErrorCode
from tests.auth.keys import AUDIENCE, ISSUER, SECRET, foreign_claims, foreign_token, public_pem

NOW = 1_800_000_000.0
SESSION = "s_0123456789abcdef01234567"
issuer = TokenIssuer(SECRET, 900)
verifier = TokenVerifier(secret=SECRET)

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=128)
users = printable.filter(lambda user: user == user.strip() and user != "user")


def own_claims(**changed: Any) -> dict[str, Any]:
    claims = {
        "iss": "tickhub",
        "aud": "tickhub",
        "sub": "7",
        "plan": "pro",
        "role": "user",
        "typ": "access",
        "iat": int(time.time()),
        "exp": int(time.time()) + 600,
        "jti": "one",
    } | changed
    return {name: value for name, value in claims.items() if value is not ...}


def own_token(**changed: Any) -> str:
    return jwt.encode(own_claims(**changed), SECRET, "HS256")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(token: str, by: TokenVerifier = verifier) -> Reason:
    """Why the token is refused, having checked that the error tells nothing of it."""
    with pytest.raises(TokenRefused) as caught:
        by.verify_now(token)
    assert isinstance(caught.value, CommandError)
    assert len(caught.value.message) < 80
    for part in token.split("."):
        assert len(part) < 8 or part[:8] not in str(caught.value)
    expired = caught.value.reason is Reason.EXPIRED
    assert caught.value.code is (ErrorCode.TOKEN_EXPIRED if expired else ErrorCode.UNAUTHORIZED)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.reason


@given(user=users, plan=st.sampled_from(Plan), role=st.sampled_from(Role), lifetime_s=st.integers(1, 10**8))
def test_what_is_issued_is_what_is_verified(user: str, plan: Plan, role: Role, lifetime_s: int) -> None:
    at = TokenVerifier(secret=SECRET, clock=lambda: NOW)
    token = TokenIssuer(SECRET, 900, clock=lambda: NOW).issue(user, plan, role, lifetime_s)
    identity = at.verify_now(token)
    assert (identity.user, identity.plan, identity.role) == (user, plan, role)
    assert (identity.issued_at, identity.expires_at) == (int(NOW), int(NOW) + lifetime_s)


def test_our_claims_are_the_ones_that_others_expect() -> None:
    token = TokenIssuer(SECRET, 900, clock=lambda: NOW).issue("7", Plan.PRO)
    claims = jwt.decode(
        token, SECRET, ["HS256"], options={"verify_exp": False, "verify_iat": False}, audience="tickhub"
    )
    assert claims.pop("jti") == TokenVerifier(secret=SECRET, clock=lambda: NOW).verify_now(token).token_id
    assert claims == {
        "iss": "tickhub",
        "aud": "tickhub",
        "sub": "7",
        "plan": "pro",
        "role": "user",
        "typ": "access",
        "iat": int(NOW),
        "exp": int(NOW) + 900,
    }
    assert jwt.get_unverified_header(token)["alg"] == "HS256"


def test_no_two_tokens_share_an_id() -> None:
    assert len({verifier.verify_now(issuer.issue("7")).token_id for _ in range(100)}) == 100


_token = TokenIssuer(SECRET, 10**8).issue("7", Plan.PRO, Role.ADMIN)


@given(place=st.integers(0, len(_token) - 1), byte=st.integers(0, 127))
def test_a_token_with_any_byte_changed_is_refused(place: int, byte: int) -> None:
    changed = _token[:place] + chr(byte) + _token[place + 1 :]
    if changed != _token:
        refused(changed)


def test_a_token_with_the_last_bit_of_any_letter_flipped_is_refused() -> None:
    for place, letter in enumerate(_token):
        refused(_token[:place] + chr(ord(letter) ^ 1) + _token[place + 1 :])


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1")), st.text('eyJ.=-_{}[]":0', min_size=1)))
def test_any_text_is_refused_in_peace(text: str) -> None:
    both = TokenVerifier(secret=SECRET, public_key=public_pem("ES256"))
    with pytest.raises(TokenRefused):
        both.verify_now(text)


@given(
    payload=st.binary(max_size=300), header=st.dictionaries(st.sampled_from(["kid", "crit", "b64", "typ"]), st.none())
)
def test_any_payload_with_a_good_signature_is_refused_in_peace(payload: bytes, header: dict[str, Any]) -> None:
    signed = f"{b64(json.dumps({'alg': 'HS256', **header}).encode())}.{b64(payload)}"
    with pytest.raises(TokenRefused):
        verifier.verify_now(f"{signed}.{b64(hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256))}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*sorted(own_claims()), "nbf"]), json_values))
def test_any_claims_give_an_identity_that_is_one_or_none(claims: dict[str, Any]) -> None:
    try:
        token = jwt.encode(own_claims(**claims), SECRET, "HS256")
    except TypeError:
        return
    try:
        identity = verifier.verify_now(token)
    except TokenRefused:
        return
    assert 1 <= len(identity.user) <= 128
    assert identity.user.isascii()
    assert identity.user != "user"
    assert 1 <= len(identity.token_id) <= 64
    assert type(identity.expires_at) is int


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": ...}, Reason.CLAIMS),
        ({"exp": "tomorrow"}, Reason.CLAIMS),
        ({"exp": True}, Reason.CLAIMS),
        ({"exp": -1}, Reason.CLAIMS),
        ({"exp": 1_800_000_000_000}, Reason.CLAIMS),
        ({"exp": 1}, Reason.EXPIRED),
        ({"nbf": time.time() + 3600}, Reason.NOT_YET_VALID),
        ({"iat": time.time() + 3600}, Reason.NOT_YET_VALID),
        ({"sub": ...}, Reason.SUBJECT),
        ({"sub": None}, Reason.SUBJECT),
        ({"sub": ""}, Reason.SUBJECT),
        ({"sub": "user"}, Reason.SUBJECT),
        ({"sub": "a" * 129}, Reason.SUBJECT),
        ({"sub": "straße"}, Reason.SUBJECT),
        ({"sub": "7\n"}, Reason.SUBJECT),
        ({"sub": " 7"}, Reason.SUBJECT),
        ({"sub": "7\x00"}, Reason.SUBJECT),
        ({"sub": True}, Reason.CLAIMS),
        ({"sub": ["7"]}, Reason.CLAIMS),
        ({"typ": "ticket"}, Reason.KIND),
        ({"typ": "refresh"}, Reason.KIND),
        ({"typ": ["access"]}, Reason.KIND),
        ({"iss": "elsewhere"}, Reason.ISSUER),
        ({"aud": "elsewhere"}, Reason.AUDIENCE),
        ({"aud": ["elsewhere", "nowhere"]}, Reason.AUDIENCE),
        ({"aud": 7}, Reason.CLAIMS),
        ({"plan": "platinum"}, Reason.CLAIMS),
        ({"plan": ["pro"]}, Reason.CLAIMS),
        ({"role": "root"}, Reason.CLAIMS),
    ],
)
def test_a_claim_that_is_wrong_is_refused_for_what_it_is(changed: dict[str, Any], reason: Reason) -> None:
    assert refused(own_token(**changed)) is reason


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": ..., "aud": ..., "typ": ..., "jti": ..., "plan": ..., "role": ..., "iat": ...},
        {"aud": ["nowhere", "tickhub"]},
        {"sub": "user2", "exp": time.time() + 7200.5},
        {"sub": "User"},
        {"unknown": {"deep": [1, 2, 3]}},
    ],
)
def test_a_token_made_by_whoever_knows_the_secret_may_say_less_or_more(changed: dict[str, Any]) -> None:
    assert verifier.verify_now(own_token(**changed)).user


def test_a_number_for_a_user_is_taken_as_its_text() -> None:
    assert verifier.verify_now(own_token(sub=77)).user == "77"


def test_a_token_that_does_not_say_when_it_was_issued_is_older_than_any_revocation() -> None:
    assert verifier.verify_now(own_token(iat=...)).issued_at == 0


@pytest.mark.parametrize(
    ("claims", "now", "reason"),
    [
        ({"exp": NOW}, NOW + 4.9, None),
        ({"exp": NOW}, NOW + 5, Reason.EXPIRED),
        ({"exp": NOW + 600, "nbf": NOW}, NOW - 5, None),
        ({"exp": NOW + 600, "nbf": NOW}, NOW - 5.1, Reason.NOT_YET_VALID),
        ({"exp": NOW + 600, "iat": NOW}, NOW - 5, None),
        ({"exp": NOW + 600, "iat": NOW}, NOW - 5.1, Reason.NOT_YET_VALID),
    ],
)
def test_clocks_may_differ_by_five_seconds(claims: dict[str, float], now: float, reason: Reason | None) -> None:
    at = TokenVerifier(secret=SECRET, clock=lambda: now)
    token = jwt.encode({"sub": "7"} | claims, SECRET, "HS256")
    if reason is None:
        assert at.verify_now(token).user == "7"
    else:
        assert refused(token, at) is reason


def test_a_token_without_a_signature_is_refused() -> None:
    both = TokenVerifier(secret=SECRET, public_key=public_pem("RS256"), audience=AUDIENCE)
    for name in ("none", "None", "NONE", ""):
        header = b64(json.dumps({"alg": name, "typ": "JWT"}).encode())
        body = b64(json.dumps(own_claims()).encode())
        assert refused(f"{header}.{body}.", both) is Reason.ALGORITHM
        assert refused(f"{header}.{body}.{b64(b'x' * 32)}", both) is Reason.ALGORITHM


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("own_secret", [None, SECRET])
def test_a_public_key_cannot_be_used_as_a_secret(kind: str, own_secret: str | None) -> None:
    by = TokenVerifier(secret=own_secret, public_key=public_pem(kind), audience=AUDIENCE)
    for name, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        signed = f"{b64(json.dumps({'alg': name}).encode())}.{b64(json.dumps(foreign_claims()).encode())}"
        for pem in (public_pem(kind), public_pem(kind).strip()):
            forged = f"{signed}.{b64(hmac.digest(pem.encode(), signed.encode(), digest))}"
            expected = Reason.SIGNATURE if own_secret and name == "HS256" else Reason.ALGORITHM
            assert refused(forged, by) is expected


def test_other_algorithms_with_our_secret_are_refused() -> None:
    secret = SECRET * 2
    by = TokenVerifier(secret=secret)
    for name in ("HS384", "HS512"):
        assert refused(jwt.encode(own_claims(), secret, name), by) is Reason.ALGORITHM


def test_another_secret_is_refused() -> None:
    assert refused(TokenIssuer(SECRET[::-1], 900).issue("7")) is Reason.SIGNATURE


def test_an_unreadable_length_is_refused_before_it_is_read() -> None:
    assert refused("a" * (MAX_TOKEN_BYTES + 1)) is Reason.TOO_LONG
    assert refused("a" * MAX_TOKEN_BYTES) is Reason.MALFORMED
    padded = own_token(padding="x" * 5800)
    assert len(padded) < MAX_TOKEN_BYTES
    assert verifier.verify_now(padded).user == "7"


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a.b", "é.é.é", "\ud800", "{}", "null", "Bearer x"])
def test_what_is_no_token_is_called_malformed(text: str) -> None:
    assert refused(text) is Reason.MALFORMED


async def test_a_ticket_is_no_token() -> None:
    async def claim(_: str, __: float) -> bool:
        return True

    ticket, _ = Tickets(SECRET, claim).issue(verifier.verify_now(issuer.issue("7")))
    assert refused(ticket) is Reason.KIND


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "32"),
        ("short", "32"),
        (public_pem("ES256"), "PEM"),
        ('{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAA"}', "JWK"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_repeated(secret: str, why: str) -> None:
    for make in (lambda: TokenIssuer(secret, 900), lambda: TokenVerifier(secret=secret)):
        with pytest.raises(ValueError, match=why) as caught:
            make()
        assert not secret or secret not in str(caught.value)


def test_a_secret_of_thirty_two_characters_will_do() -> None:
    assert TokenVerifier(secret="x" * 32).verify_now(TokenIssuer("x" * 32, 900).issue("7")).user == "7"


@pytest.mark.parametrize("user", ["", "user", "x" * 129, "ü", "a\tb", " a", "a "])
def test_nobody_gets_a_token_under_an_impossible_name(user: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        issuer.issue(user)


@pytest.mark.parametrize("lifetime_s", [0, -1, 1e12])
def test_a_lifetime_that_is_none_is_refused(lifetime_s: float) -> None:
    with pytest.raises(ValueError, match="lives"):
        issuer.issue("7", expires_in_s=lifetime_s)


def test_a_verifier_without_any_key_is_refused() -> None:
    with pytest.raises(ValueError, match="verified with"):
        TokenVerifier()


@pytest.mark.parametrize("kind", ["RS256", "ES256", "ES384", "EdDSA"])
async def test_a_foreign_token_is_taken_by_the_key_of_its_login(kind: str) -> None:
    by = TokenVerifier(secret=SECRET, public_key=public_pem(kind), audience=AUDIENCE, issuer=ISSUER)
    identity = await by.verify(foreign_token(kind, plan="pro", role="admin", jti="their-id"))
    assert (identity.user, identity.plan, identity.role) == ("auth0|77", Plan.PRO, Role.ADMIN)
    assert identity.token_id == "their-id"
    assert by.verify_now(issuer.issue("7")).user == "7"


async def test_only_a_token_that_our_secret_has_not_signed_is_foreign_whenever_it_comes() -> None:
    by = TokenVerifier(secret=SECRET, public_key=public_pem("ES256"), audience=AUDIENCE, issuer=ISSUER)
    foreign, own = foreign_token("ES256", foreign=False), issuer.issue("7")
    assert [by.verify_now(one).foreign for one in (foreign, own, foreign, own)] == [True, False, True, False]


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
def test_a_foreign_token_of_another_key_is_refused(kind: str) -> None:
    by = TokenVerifier(secret=SECRET, public_key=public_pem(kind), audience=AUDIENCE)
    assert refused(foreign_token(kind, 1), by) is Reason.SIGNATURE


def test_a_key_verifies_its_own_algorithm_only() -> None:
    by = TokenVerifier(public_key=public_pem("RS256"), audience=AUDIENCE)
    assert by.verify_now(foreign_token("RS256")).user == "auth0|77"
    for name in ("RS384", "RS512", "PS256"):
        assert refused(foreign_token("RS256", algorithm=name), by) is Reason.ALGORITHM
    assert refused(foreign_token("ES256"), by) is Reason.ALGORITHM


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": None}, Reason.CLAIMS),
        ({"sub": None}, Reason.SUBJECT),
        ({"iss": "https://other.example"}, Reason.ISSUER),
        ({"iss": None}, Reason.ISSUER),
        ({"aud": "other"}, Reason.AUDIENCE),
        ({"aud": None}, Reason.AUDIENCE),
        ({"aud": []}, Reason.AUDIENCE),
        ({"typ": "ID"}, Reason.KIND),
        ({"typ": "Refresh"}, Reason.KIND),
        ({"typ": "ticket"}, Reason.KIND),
        ({"typ": 7}, Reason.KIND),
        ({"nbf": int(time.time()) + 600}, Reason.NOT_YET_VALID),
        ({"exp": int(time.time()) - 6}, Reason.EXPIRED),
    ],
)
def test_a_foreign_claim_that_is_wrong_is_refused(changed: dict[str, Any], reason: Reason) -> None:
    by = TokenVerifier(public_key=public_pem("ES256"), audience=AUDIENCE, issuer=ISSUER)
    assert refused(foreign_token("ES256", **changed), by) is reason


@pytest.mark.parametrize("changed", [{"typ": "Bearer"}, {"typ": "at+jwt"}, {"aud": ["x", AUDIENCE]}, {"sub": 77}, {}])
def test_a_foreign_token_as_logins_write_them_is_taken(changed: dict[str, Any]) -> None:
    by = TokenVerifier(public_key=public_pem("ES256"), audience=AUDIENCE, issuer=ISSUER)
    assert by.verify_now(foreign_token("ES256", **changed)).plan is Plan.FREE


@pytest.mark.parametrize("changed", [{"plan": "platinum", "role": "authenticated"}, {"plan": 3, "role": ["admin"]}])
def test_a_foreign_token_with_words_we_do_not_know_gets_the_least(changed: dict[str, Any]) -> None:
    by = TokenVerifier(public_key=public_pem("ES256"), audience=AUDIENCE)
    identity = by.verify_now(foreign_token("ES256", **changed))
    assert (identity.plan, identity.role) == (Plan.FREE, Role.USER)


def test_a_foreign_token_for_somebody_is_refused_where_no_audience_is_set() -> None:
    by = TokenVerifier(public_key=public_pem("ES256"))
    assert refused(foreign_token("ES256"), by) is Reason.AUDIENCE
    assert by.verify_now(foreign_token("ES256", aud=None)).user == "auth0|77"


def test_our_secret_takes_the_audience_and_issuer_that_are_set() -> None:
    by = TokenVerifier(secret=SECRET, audience=AUDIENCE, issuer=ISSUER)
    assert by.verify_now(own_token(aud=AUDIENCE, iss=ISSUER)).user == "7"
    assert by.verify_now(own_token()).user == "7"
    assert refused(own_token(aud="other"), by) is Reason.AUDIENCE
    assert refused(own_token(aud=...), by) is Reason.AUDIENCE
    assert refused(own_token(iss="other"), by) is Reason.ISSUER


def test_a_foreign_token_without_an_id_has_one_that_its_bearer_cannot_change() -> None:
    by = TokenVerifier(public_key=public_pem("ES256"), audience=AUDIENCE)
    token = foreign_token("ES256")
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = raw[:32], int.from_bytes(raw[32:])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = f"{signed}.{b64(r + (order - s).to_bytes(32))}"
    assert twin != token
    assert by.verify_now(twin).token_id == by.verify_now(token).token_id
    assert by.verify_now(foreign_token("ES256", sub="other")).token_id != by.verify_now(token).token_id


@pytest.mark.parametrize("jti", ["", "x" * 65, "a b", "é", "a\x00b", 7, None, ["x"]])
def test_an_id_that_no_table_could_hold_is_replaced(jti: object) -> None:
    identity = verifier.verify_now(own_token(jti=jti))
    assert len(identity.token_id) == 64
    assert identity.token_id == verifier.verify_now(own_token(jti=jti, iat=identity.issued_at)).token_id


def test_a_token_names_its_session_and_language() -> None:
    identity = verifier.verify_now(issuer.issue("7", session=SESSION, language="mr"))
    assert (identity.session, identity.language, identity.scopes) == (SESSION, "mr", None)


def test_a_token_of_no_session_says_nothing_of_one() -> None:
    token = issuer.issue("7")
    claims = jwt.decode(token, SECRET, ["HS256"], audience="tickhub")
    assert not {"sid", "lang"} & set(claims)
    identity = verifier.verify_now(token)
    assert identity.session is identity.language is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_carried(language: str) -> None:
    assert verifier.verify_now(issuer.issue("7", language=language)).language == language


@pytest.mark.parametrize("language", ["", "fr", "EN", "en-IN"])
def test_a_language_that_is_none_of_ours_is_left_out(language: str) -> None:
    assert verifier.verify_now(issuer.issue("7", language=language)).language is None


@pytest.mark.parametrize("language", ["fr", 7, ["en"], {"en": 1}, True])
def test_a_language_that_is_none_costs_the_token_nothing(language: object) -> None:
    assert verifier.verify_now(own_token(lang=language)).language is None


@pytest.mark.parametrize("session", ["", "x" * 65, 7, ["s"], "a b", "a\x00"])
def test_a_session_that_could_not_be_revoked_is_refused(session: object) -> None:
    assert refused(own_token(sid=session)) is Reason.CLAIMS


def test_a_foreign_token_names_no_session_here() -> None:
    by = TokenVerifier(secret=SECRET, public_key=public_pem("ES256"), audience=AUDIENCE)
    identity = by.verify_now(foreign_token("ES256", sid=SESSION, lang="hi"))
    assert (identity.session, identity.language) == (None, "hi")
    assert by.verify_now(foreign_token("ES256", sid=["whatever"], lang="fr")).language is None
    assert by.verify_now(foreign_token("ES256", sid=SESSION, iss="tickhub")).session is None


def test_whoever_shares_the_secret_names_no_session_here() -> None:
    by = TokenVerifier(secret=SECRET, issuer=ISSUER)
    for changed in ({"iss": ISSUER}, {"iss": ...}):
        assert by.verify_now(own_token(sid=SESSION, **changed)).session is None
    assert by.verify_now(own_token(sid=SESSION)).session == SESSION


def test_a_time_of_issue_can_be_handed_in() -> None:
    at = TokenIssuer(SECRET, 900, clock=lambda: NOW)
    identity = TokenVerifier(secret=SECRET, clock=lambda: NOW).verify_now(at.issue("7", issued_at=int(NOW) - 3))
    assert (identity.issued_at, identity.expires_at) == (int(NOW) - 3, int(NOW) + 897)


def test_a_token_that_was_verified_before_says_the_same() -> None:
    token = issuer.issue("7", Plan.PRO, session=SESSION)
    own = TokenVerifier(secret=SECRET)
    first = own.verify_now(token)
    assert own.verify_now(token) is first
    assert verifier.verify_now(token) == first


def test_a_token_that_was_verified_before_ends_all_the_same() -> None:
    times = [NOW]
    by = TokenVerifier(secret=SECRET, clock=lambda: times[0])
    token = jwt.encode({"sub": "7", "iat": NOW, "nbf": NOW, "exp": NOW + 60.5}, SECRET, "HS256")
    by.verify_now(token)
    times[0] = NOW + 65.4
    assert by.verify_now(token).user == "7"
    times[0] = NOW + 65.5
    assert refused(token, by) is Reason.EXPIRED
    times[0] = NOW - 6
    assert refused(token, by) is Reason.NOT_YET_VALID
    times[0] = NOW
    assert by.verify_now(token).user == "7"


def test_a_refusal_is_not_remembered() -> None:
    times = [NOW - 60]
    by = TokenVerifier(secret=SECRET, clock=lambda: times[0])
    token = jwt.encode({"sub": "7", "nbf": NOW, "exp": NOW + 60}, SECRET, "HS256")
    assert refused(token, by) is Reason.NOT_YET_VALID
    assert len(by._verified) == 0
    times[0] = NOW
    assert by.verify_now(token).user == "7"


@given(place=st.integers(0, len(_token) - 1), byte=st.integers(0, 127))
def test_a_good_token_helps_no_other(place: int, byte: int) -> None:
    verifier.verify_now(_token)
    changed = _token[:place] + chr(byte) + _token[place + 1 :]
    if changed != _token:
        refused(changed)
