"""A hub shows push services who it is, and nobody else can."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from notifiers.providers.vapid import LIFETIME_S, Vapid
from schemas.secret import Secret
from tests.notifiers.providers.browser import decode, point_of
from tests.notifiers.providers.jobs import NOW

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, lock: KeySerializationEncryption | None = None) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption()).decode())


VAPID = Vapid(pem(KEY), "mailto:admin@example.com", wall=lambda: NOW)


def test_the_public_key_is_an_uncompressed_point() -> None:
    assert decode(VAPID.public_key) == point_of(KEY)
    assert "=" not in VAPID.public_key


@pytest.mark.parametrize(
    ("endpoint", "audience"),
    [
        ("https://push.example.net/send/abc?x=y#z", "https://push.example.net"),
        ("https://push.example.net:8443/send/abc", "https://push.example.net:8443"),
        ("https://push.example.net:443/send/abc", "https://push.example.net"),
    ],
)
def test_a_token_is_for_one_service_and_not_for_long(endpoint: str, audience: str) -> None:
    scheme, _, rest = VAPID.authorization(endpoint).partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert (scheme, fields["k"]) == ("vapid", VAPID.public_key)
    assert jwt.get_unverified_header(fields["t"]) == {"typ": "JWT", "alg": "ES256"}
    claims = jwt.decode(fields["t"], KEY.public_key(), ["ES256"], audience=audience, options={"verify_exp": False})
    assert claims == {"aud": audience, "exp": NOW + LIFETIME_S, "sub": "mailto:admin@example.com"}
    assert LIFETIME_S <= 12 * 3600


@pytest.mark.parametrize(
    "key",
    [
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
        pem(KEY, BestAvailableEncryption(b"password")),
        Secret("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"),
        Secret(""),
    ],
    ids=["another curve", "RSA", "with a password", "an empty one", "none"],
)
def test_what_is_no_key_on_p_256_is_refused(key: Secret) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Vapid(key, "mailto:x@example.com")
    assert "BEGIN" not in str(caught.value)
