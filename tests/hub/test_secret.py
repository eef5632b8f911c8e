import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.secret import FILE_NAME, kept_secret, public_key_pem
from schemas.errors import SettingsError

PEM = "-----BEGIN PUBLIC KEY-----\nMII=\n-----END PUBLIC KEY-----\n"


def test_makes_a_secret_that_only_the_owner_may_read(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    secret = kept_secret(data).reveal()
    assert len(secret) >= 32
    assert stat.S_IMODE((data / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [path.name for path in data.iterdir()] == [FILE_NAME]


def test_is_never_readable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept_secret(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_keeps_what_it_made(tmp_path: Path) -> None:
    assert kept_secret(tmp_path) == kept_secret(tmp_path)


def test_two_places_have_two_secrets(tmp_path: Path) -> None:
    assert kept_secret(tmp_path / "a") != kept_secret(tmp_path / "b")


def test_many_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: kept_secret(tmp_path), range(32)))) == 1


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    kept_secret(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o644)
    kept_secret(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 64])
def test_a_spoilt_file_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(SettingsError, match=r"^DATA_DIR: .* holds no secret"):
        kept_secret(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^DATA_DIR: .* can't be kept"):
        kept_secret(tmp_path / "file" / "data")


def test_a_pem_is_itself_and_a_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    assert public_key_pem(PEM) == public_key_pem(str(tmp_path / "key.pem")) == PEM


@pytest.mark.parametrize("content", [b"", b"\xff", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"])
def test_a_file_without_a_public_key_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^JWT_PUBLIC_KEY: the key file holds no"):
        public_key_pem(str(tmp_path / "key.pem"))


def test_a_key_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_PUBLIC_KEY: the key file can't be read"):
        public_key_pem(str(tmp_path / "key.pem"))
