"""Signed mail passes an independent verifier, and nothing can be taken from it or added to it."""

import base64

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from notifiers.providers.dkim import Signer
from notifiers.providers.mail import Sender, message_of
from notifiers.wording.letters import Letter
from schemas.secret import Secret

PLAIN = NoEncryption()
LETTER = Letter(
    id="d_1",
    kind="alert",
    to="asha@example.com",
    subject="RELIANCE \u20b92,510.50: भाव 2,500 के ऊपर गया, और विषय लंबा है",
    text="one\n.\ntwo\n",
    html="<p>one</p>",
    language="hi",
    message_id="<d_1@acme.example>",
    headers=(
        ("List-Unsubscribe", f"<https://acme.example/api/v1/unsubscribe/{'x' * 200}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ),
)
CONTENT = message_of(LETTER, Sender("Acme", "no-reply@acme.example"), now=1_795_322_702).as_bytes()


@pytest.fixture(scope="module", params=["rsa", "ed25519"])
def key(request: pytest.FixtureRequest) -> RSAPrivateKey | Ed25519PrivateKey:
    if request.param == "ed25519":
        return Ed25519PrivateKey.generate()
    return generate_rsa(65537, 2048)


def pem(key: RSAPrivateKey | Ed25519PrivateKey) -> Secret:
    form = PrivateFormat.PKCS8 if isinstance(key, Ed25519PrivateKey) else PrivateFormat.TraditionalOpenSSL
    return Secret(key.private_bytes(Encoding.PEM, form, PLAIN).decode())


def record(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    """What the domain's DNS says of the key."""
    if isinstance(key, Ed25519PrivateKey):
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(key.public_key().public_bytes_raw())
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)


def passes(mail: bytes, key: RSAPrivateKey | Ed25519PrivateKey) -> bool:
    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        return record(key) if name == b"mail._domainkey.acme.example." else None

    return bool(dkim.verify(mail, dnsfunc=look_up))


def test_a_signed_mail_passes(key: RSAPrivateKey | Ed25519PrivateKey) -> None:
    mail = Signer("mail", "acme.example", pem(key)).signed(CONTENT)
    assert mail.endswith(CONTENT)
    assert passes(mail, key)
    assert max(map(len, mail.partition(b"\r\nFrom")[0].split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("taken", "put"),
    [
        (base64.b64encode(b"<p>one</p>\r\n"), base64.b64encode(b"<p>two</p>\r\n")),
        (b"Subject:", b"Subject: a"),
        (b"One-Click", b"Two-Click"),
        (b"/unsubscribe/", b"/elsewhere/"),
        (b"Subject:", b"Subject: another\r\nSubject:"),
        (b"MIME-Version:", b"List-Unsubscribe: <https://evil.example>\r\nMIME-Version:"),
        (b"Date:", b"Reply-To: a@evil.example\r\nFrom: b@evil.example\r\nDate:"),
    ],
)
def test_a_change_is_noticed(key: RSAPrivateKey | Ed25519PrivateKey, taken: bytes, put: bytes) -> None:
    mail = Signer("mail", "acme.example", pem(key)).signed(CONTENT)
    head, mark, body = mail.partition(b"\r\nFrom")
    assert taken in mark + body
    assert passes(mail, key)
    assert not passes(head + (mark + body).replace(taken, put, 1), key)


def test_the_headers_of_one_click_are_signed(key: RSAPrivateKey | Ed25519PrivateKey) -> None:
    mail = Signer("mail", "acme.example", pem(key)).signed(CONTENT)
    signature = b"".join(mail.partition(b"\r\nFrom")[0].split())
    names = signature.partition(b"h=")[2].partition(b";")[0].split(b":")
    assert names.count(b"list-unsubscribe") == names.count(b"list-unsubscribe-post") == 2
    assert names.count(b"from") == 2


def locked() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()


def short() -> str:
    return generate_rsa(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN).decode()


def of_a_curve() -> str:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN).decode()


@pytest.mark.parametrize("make", [locked, of_a_curve, str], ids=["locked", "of a curve", "nothing"])
def test_a_key_that_can_t_sign_is_told(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"^expected "):
        Signer("mail", "acme.example", Secret(make()))


def test_a_short_key_is_still_taken_at_1024_bits() -> None:
    assert Signer("mail", "acme.example", Secret(short())).signed(CONTENT)
