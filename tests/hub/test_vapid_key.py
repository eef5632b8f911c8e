"""Every process of an installation signs push messages with the same key, and keeps it."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.vapid_key import FILE_NAME, vapid
from notifiers.providers.vapid import Vapid
from schemas.errors import SettingsError
from schemas.settings import load

SECRET = "a secret for the tests, long enough to sign with"


def pem(curve: ec.EllipticCurve) -> str:
    return ec.generate_private_key(curve).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


P_256 = pem(ec.SECP256R1())


def made(tmp_path: Path, **changed: str) -> Vapid:
    return vapid(load({"DATA_DIR": str(tmp_path)} | changed), "no-reply@example.com")


def test_a_key_that_is_set_is_the_key(tmp_path: Path) -> None:
    file = tmp_path / "own.pem"
    file.write_text(P_256, encoding="ascii")
    data = tmp_path / "data"
    keys = {made(data, VAPID_PRIVATE_KEY=setting, JWT_SECRET=SECRET).public_key for setting in (P_256, str(file))}
    assert len(keys) == 1
    assert not data.exists()


def test_without_one_it_is_derived_from_the_token_secret(tmp_path: Path) -> None:
    key = made(tmp_path / "a", JWT_SECRET=SECRET).public_key
    assert made(tmp_path / "b", JWT_SECRET=SECRET).public_key == key
    assert made(tmp_path / "b", JWT_SECRET=SECRET[::-1]).public_key != key
    assert list(tmp_path.iterdir()) == []


def test_without_a_secret_one_is_made_and_kept(tmp_path: Path) -> None:
    key = made(tmp_path).public_key
    assert made(tmp_path).public_key == key
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert made(tmp_path / "other").public_key != key


def test_a_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^VAPID_PRIVATE_KEY: .*P-256") as caught:
        made(tmp_path, VAPID_PRIVATE_KEY=pem(ec.SECP384R1()))
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "x" * 99, pem(ec.SECP384R1())], ids=["nothing", "garbage", "another curve"])
def test_a_file_that_was_spoilt_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, encoding="ascii")
    with pytest.raises(SettingsError, match=r"^DATA_DIR: "):
        made(tmp_path)


def test_a_file_that_is_missing_is_named_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^VAPID_PRIVATE_KEY: "):
        made(tmp_path, VAPID_PRIVATE_KEY=str(tmp_path / "nowhere.pem"))


@pytest.mark.parametrize(
    ("changed", "subject"),
    [({}, "mailto:no-reply@example.com"), ({"VAPID_SUBJECT": "https://example.com/us"}, "https://example.com/us")],
    ids=["the sender of mail", "as set"],
)
def test_push_services_are_told_whom_to_write_to(tmp_path: Path, changed: dict[str, str], subject: str) -> None:
    assert made(tmp_path, **changed)._subject == subject
