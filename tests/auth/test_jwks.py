"""Keys of someone else's login: what is read as one, and a key set that rotates, fails, lies or dawdles."""

import asyncio
import datetime as dt
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from auth.jwks import MAX_BYTES, RemoteKeys, read_key_set, read_public_key
from auth.refusals import Reason, TokenRefused
from auth.tokens import TokenIssuer, TokenVerifier
from schemas.errors import Unavailable
from tests.auth.keys import AUDIENCE, SECRET, KeyServer, foreign_token, jwk, private_key, public_pem


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with KeyServer() as server:
        server.show(jwk("RS256"))
        yield server


@asynccontextmanager
async def fetching(server: KeyServer, **times: float) -> AsyncIterator[tuple[TokenVerifier, RemoteKeys]]:
    """A verifier whose key set is fetched from the server, without a pause between fetches unless told."""
    keys = RemoteKeys(server.url, **{"cooldown_s": 0.0, "timeout_s": 2.0} | times)
    task = asyncio.create_task(keys.run(), name="keys")
    try:
        yield TokenVerifier(secret=SECRET, remote_keys=keys, audience=AUDIENCE), keys
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def failed(keys: RemoteKeys) -> None:
    """Return once a fetch has failed."""
    async with asyncio.timeout(5):
        while not keys.failing:
            await keys.refreshed()
            await asyncio.sleep(0)


async def rested(keys: RemoteKeys) -> None:
    """Return once a missing key makes it fetch again."""
    async with asyncio.timeout(5):
        while keys._resting:  # noqa: ASYNC110 - what is waited for ends by itself in a turn or two of the loop
            await asyncio.sleep(0)


async def why_refused(verifier: TokenVerifier, token: str) -> Reason:
    with pytest.raises(TokenRefused) as caught:
        await verifier.verify(token)
    return caught.value.reason


async def test_the_first_token_waits_for_the_first_fetch(server: KeyServer) -> None:
    server.show(jwk("RS256"), jwk("ES256"), jwk("EdDSA"))
    async with fetching(server, cooldown_s=30) as (verifier, _):
        for kind in ("RS256", "ES256", "EdDSA"):
            assert (await verifier.verify(foreign_token(kind, plan="pro"))).plan == "pro"
    assert server.requests == 1


async def test_our_own_tokens_never_wait_for_the_key_set(server: KeyServer) -> None:
    server.open.clear()
    async with fetching(server) as (verifier, keys), asyncio.timeout(1):
        assert (await verifier.verify(TokenIssuer(SECRET, 900).issue("7"))).user == "7"
        assert keys.failing


async def test_a_new_key_is_fetched_when_the_first_token_of_it_comes(server: KeyServer) -> None:
    async with fetching(server) as (verifier, keys):
        old, new = foreign_token("RS256"), foreign_token("RS256", 1)
        assert await verifier.verify(old)
        await rested(keys)
        server.show(jwk("RS256", 1))
        assert await verifier.verify(new)
        assert await why_refused(verifier, old) is Reason.UNKNOWN_KEY


async def test_unknown_keys_do_not_make_us_fetch_again_and_again(server: KeyServer) -> None:
    async with fetching(server, cooldown_s=30) as (verifier, _):
        assert await verifier.verify(foreign_token("RS256"))
        for number in range(50):
            token = foreign_token("RS256", headers={"kid": f"unknown-{number}"})
            assert await why_refused(verifier, token) is Reason.UNKNOWN_KEY
    assert server.requests == 1


async def test_all_who_wait_share_one_fetch(server: KeyServer) -> None:
    server.open.clear()
    async with fetching(server, cooldown_s=30) as (verifier, _), asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(verifier.verify(foreign_token("RS256"))) for _ in range(50)]
        cancelled = waiting.pop()
        await asyncio.sleep(0)
        cancelled.cancel()
        server.open.set()
    assert all(task.result().user == "auth0|77" for task in waiting)
    assert server.requests == 1


async def test_the_last_good_keys_serve_while_the_url_fails(
    server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with fetching(server, cooldown_s=0.01) as (verifier, keys):
        assert await verifier.verify(foreign_token("RS256"))
        await server.stop()
        await failed(keys)
        assert await verifier.verify(foreign_token("RS256"))
        with pytest.raises(Unavailable, match="key set"):
            await verifier.verify(foreign_token("RS256", 1))
        server.show(jwk("RS256", 1))
        await server.start()
        async with asyncio.timeout(5):
            while keys.failing:
                await keys.refreshed()
                await asyncio.sleep(0)
        assert await verifier.verify(foreign_token("RS256", 1))
    assert "jwks.fetch_failed" in caplog.text


@pytest.mark.parametrize(
    ("body", "status", "header"),
    [
        (b"", "200 OK", "X: 1"),
        (b"<html>Sign in</html>", "200 OK", "X: 1"),
        (b"{}", "200 OK", "X: 1"),
        (b'{"keys": {}}', "200 OK", "X: 1"),
        (b'{"keys": []}', "200 OK", "X: 1"),
        (
            b'{"keys": [1, null, {"kty": ["RSA"]}, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "RS256-0"}]}',
            "200 OK",
            "X: 1",
        ),
        (b'{"keys": ' + b"[" * 100_000, "200 OK", "X: 1"),
        (b"\xff\xfe\x00", "200 OK", "X: 1"),
        (json.dumps({"keys": [jwk("RS256")], "padding": "x" * MAX_BYTES}).encode(), "200 OK", "X: 1"),
        (json.dumps({"keys": [jwk("RS256")]}).encode(), "500 Internal Server Error", "X: 1"),
        (json.dumps({"keys": [jwk("RS256")]}).encode(), "200 OK", "Content-Encoding: gzip\r\nX: 1\r\nbroken header"),
    ],
)
async def test_an_answer_that_is_no_key_set_is_no_key_set(
    server: KeyServer, body: bytes, status: str, header: str
) -> None:
    server.say(body, status, header)
    async with fetching(server) as (verifier, keys):
        with pytest.raises(Unavailable):
            await verifier.verify(foreign_token("RS256"))
        assert keys.failing


async def test_a_redirect_is_not_followed(server: KeyServer) -> None:
    async with KeyServer() as elsewhere:
        elsewhere.show(jwk("RS256"))
        server.say(b"", "302 Found", f"Location: {elsewhere.url}")
        async with fetching(server) as (verifier, _):
            with pytest.raises(Unavailable):
                await verifier.verify(foreign_token("RS256"))
        assert elsewhere.requests == 0


@pytest.mark.parametrize("reply", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"])
async def test_an_answer_that_is_no_http_is_no_key_set(server: KeyServer, reply: bytes) -> None:
    server.reply = reply
    async with fetching(server) as (verifier, keys):
        with pytest.raises(Unavailable):
            await verifier.verify(foreign_token("RS256"))
        assert keys.failing


async def test_a_server_that_dawdles_is_given_up(server: KeyServer) -> None:
    server.open.clear()
    async with fetching(server, timeout_s=0.1) as (verifier, _), asyncio.timeout(3):
        with pytest.raises(Unavailable):
            await verifier.verify(foreign_token("RS256"))


async def test_a_key_set_that_nobody_fetches_is_told_as_such() -> None:
    verifier = TokenVerifier(remote_keys=RemoteKeys("http://127.0.0.1:1/", timeout_s=-0.95), audience=AUDIENCE)
    with pytest.raises(Unavailable):
        await verifier.verify(foreign_token("RS256"))


async def test_the_keys_are_fetched_again_after_their_time(server: KeyServer) -> None:
    async with fetching(server, refresh_s=0.02) as (verifier, keys), asyncio.timeout(5):
        assert await verifier.verify(foreign_token("RS256"))
        server.show(jwk("ES256"))
        while keys.find("ES256-0") is None:
            await keys._attempted.wait()
        assert keys.find("RS256-0") is None


async def test_a_token_that_was_verified_before_goes_with_its_key(server: KeyServer) -> None:
    async with fetching(server, refresh_s=0.02) as (verifier, keys), asyncio.timeout(5):
        token, own = foreign_token("RS256"), TokenIssuer(SECRET, 900).issue("7")
        assert await verifier.verify(token) == verifier.verify_now(token)
        server.show(jwk("ES256"))
        while keys.find("ES256-0") is None:
            await keys._attempted.wait()
        with pytest.raises(TokenRefused) as caught:
            verifier.verify_now(token)
        assert caught.value.reason is Reason.UNKNOWN_KEY
        assert verifier.verify_now(own).user == "7"


async def test_what_the_server_shows_never_reaches_the_log(server: KeyServer, caplog: pytest.LogCaptureFixture) -> None:
    server.say(b"tell nobody: hunter2secret")
    async with fetching(server) as (verifier, _):
        with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as caught:
            await verifier.verify(foreign_token("RS256"))
    assert "hunter2secret" not in caplog.text + str(caught.value)


async def test_a_token_picks_its_key_and_not_its_algorithm(server: KeyServer) -> None:
    server.show(jwk("RS256"), jwk("ES256"), jwk("RS256", 2, alg="RS512"))
    async with fetching(server, cooldown_s=30) as (verifier, _):
        assert await why_refused(verifier, foreign_token("RS256", algorithm="RS384")) is Reason.ALGORITHM
        assert await why_refused(verifier, foreign_token("ES256", headers={"kid": "RS256-0"})) is Reason.ALGORITHM
        assert await why_refused(verifier, foreign_token("RS256", 1, headers={"kid": "RS256-0"})) is Reason.SIGNATURE
        assert await why_refused(verifier, foreign_token("RS256", 2)) is Reason.ALGORITHM
        assert await verifier.verify(foreign_token("RS256", 2, algorithm="RS512"))


async def test_a_token_without_a_key_id_is_taken_where_there_is_one_key_only(server: KeyServer) -> None:
    async with fetching(server) as (verifier, keys):
        assert await verifier.verify(foreign_token("RS256", headers={}))
        await rested(keys)
        server.show(jwk("RS256"), jwk("ES256"))
        assert await why_refused(verifier, foreign_token("RS256", headers={"kid": "no-such"})) is Reason.UNKNOWN_KEY
        assert await why_refused(verifier, foreign_token("RS256", headers={})) is Reason.UNKNOWN_KEY


async def test_a_pem_and_a_key_set_and_our_secret_serve_side_by_side(server: KeyServer) -> None:
    keys = RemoteKeys(server.url)
    verifier = TokenVerifier(secret=SECRET, public_key=public_pem("RS256", 1), remote_keys=keys, audience=AUDIENCE)
    task = asyncio.create_task(keys.run(), name="keys")
    assert (await verifier.verify(TokenIssuer(SECRET, 900).issue("7"))).user == "7"
    assert await verifier.verify(foreign_token("RS256", 1))
    assert await verifier.verify(foreign_token("RS256", 0))
    assert await why_refused(verifier, TokenIssuer(SECRET[::-1], 900).issue("7")) is Reason.SIGNATURE
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "oct", "k": "A" * 64, "kid": "secret"},
        jwk("RS256", use="enc"),
        jwk("RS256", kid=7),
        jwk("RS256", alg="HS256"),
        jwk("RS256", alg="ES256"),
        jwk("RS256", alg="none"),
        jwk("ES256", alg="ES384"),
        jwk("ES256", crv="P-384"),
        jwk("EdDSA", crv="X25519"),
        {"kty": "RSA", "n": 7, "e": None, "kid": "n"},
        {"kty": "EC", "crv": "P-256", "x": "", "y": "", "kid": "e"},
        {"kty": "OKP", "crv": "Ed25519", "x": "!", "kid": "o"},
        {"kty": "RSA"},
        [],
        "RSA",
    ],
)
def test_a_key_that_we_cannot_use_does_not_cost_the_others(odd: Any) -> None:
    good = jwk("ES256", 5)
    assert read_key_set(json.dumps({"keys": [odd, good]}).encode()).keys() == {"ES256-5", None}
    with pytest.raises(ValueError, match="no usable key"):
        read_key_set(json.dumps({"keys": [odd]}).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
members = st.sampled_from(["kty", "alg", "use", "kid", "crv", "n", "e", "d", "p", "x", "y", "oth", "key_ops"])


@given(st.sampled_from(["RS256", "ES256", "EdDSA"]), st.dictionaries(members, json_values, max_size=4))
def test_any_key_is_one_or_none(kind: str, changed: dict[str, Any]) -> None:
    try:
        keys = read_key_set(json.dumps({"keys": [jwk(kind) | changed]}).encode())
    except ValueError:
        return
    assert keys


@given(st.binary())
def test_any_bytes_are_a_key_set_or_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="no"):
        read_key_set(body)


@pytest.mark.parametrize(("kind", "algorithm"), [("RS256", "RS256"), ("ES384", "ES384"), ("EdDSA", "EdDSA")])
def test_a_pem_says_its_algorithm(kind: str, algorithm: str) -> None:
    pem = public_pem(kind)
    assert read_public_key(pem).algorithm == algorithm
    one_line = pem.strip().replace("\n", "\\n")
    assert read_public_key(f" {one_line} ").algorithm == algorithm


def test_a_certificate_will_do() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "login")])
    now = dt.datetime.now(dt.UTC)
    key = private_key("ES256")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    assert read_public_key(certificate.public_bytes(Encoding.PEM).decode()).algorithm == "ES256"


def _pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "no public key"),
        ("hunter2secret", "no public key"),
        ("-----BEGIN PUBLIC KEY-----\nhunter2secret\n-----END PUBLIC KEY-----", "no public key"),
        ("-----BEGIN CERTIFICATE-----\nhunter2secret\n-----END CERTIFICATE-----", "no public key"),
        (_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "2048"),
        (_pem(ec.generate_private_key(ec.SECP256K1())), "none of"),
        (_pem(dsa.generate_private_key(1024)), "none of"),
        (
            private_key("ES256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "private key",
        ),
    ],
)
def test_a_pem_that_is_no_usable_public_key_is_refused_without_being_repeated(pem: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read_public_key(pem)
    assert "hunter2secret" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "url", ["https://login.example/keys", "http://localhost:1/k", "http://127.0.0.2/k", "http://[::1]/k"]
)
def test_a_key_set_comes_over_tls_or_from_this_machine(url: str) -> None:
    RemoteKeys(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys.json",
        "file:///etc/passwd",
        "http://login.example/k",
        "http://10.0.0.1/k",
        "http://localhost.example/k",
        "https://",
        "ftp://localhost/k",
    ],
)
def test_a_key_set_from_anywhere_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="key set"):
        RemoteKeys(url)
