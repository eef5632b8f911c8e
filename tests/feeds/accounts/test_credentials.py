from pathlib import Path

import pytest

from feeds.accounts.credentials import MAX_BYTES, read_credentials, setting_name
from feeds.errors import CredentialsMissing, CredentialsUnreadable

NAMES = ("api_key", "access_token")


def test_settings_are_read_by_the_sources_prefix_and_stripped() -> None:
    settings = {"KITE_API_KEY": " k1 ", "KITE_ACCESS_TOKEN": "t1\n", "DHAN_API_KEY": "other"}
    assert read_credentials("kite", NAMES, lambda: settings) == {"api_key": "k1", "access_token": "t1"}


def test_the_address_is_among_them_where_it_is_set() -> None:
    settings = {"KITE_API_KEY": "k", "KITE_ACCESS_TOKEN": "t", "KITE_URL": "ws://127.0.0.1:1"}
    assert read_credentials("kite", NAMES, lambda: settings)["url"] == "ws://127.0.0.1:1"


def test_a_file_is_read_anew_at_every_call(tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = {"KITE_API_KEY": "k", "KITE_ACCESS_TOKEN_FILE": str(file)}
    for token in ("monday", "tuesday"):
        file.write_text(f"{token}\n")
        assert read_credentials("kite", NAMES, lambda: settings)["access_token"] == token


def test_the_settings_are_asked_anew_at_every_call() -> None:
    settings = {"KITE_API_KEY": "k", "KITE_ACCESS_TOKEN": "monday"}
    read_credentials("kite", NAMES, lambda: settings)
    settings["KITE_ACCESS_TOKEN"] = "tuesday"
    assert read_credentials("kite", NAMES, lambda: settings)["access_token"] == "tuesday"


def test_a_setting_goes_before_its_file() -> None:
    settings = {"KITE_API_KEY": "k", "KITE_ACCESS_TOKEN": "t", "KITE_ACCESS_TOKEN_FILE": "/no/such/file"}
    assert read_credentials("kite", NAMES, lambda: settings)["access_token"] == "t"


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(CredentialsMissing, match=r"^KITE_API_KEY, KITE_ACCESS_TOKEN must be set$") as caught:
        read_credentials("kite", NAMES, lambda: {"KITE_API_KEY": "  "})
    assert caught.value.names == ["KITE_API_KEY", "KITE_ACCESS_TOKEN"]


def test_a_file_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    file = tmp_path / "none"
    with pytest.raises(CredentialsUnreadable) as caught:
        read_credentials("kite", NAMES, lambda: {"KITE_API_KEY_FILE": str(file)})
    assert str(caught.value) == f"KITE_API_KEY_FILE: can't read {file}: No such file or directory"


@pytest.mark.parametrize(
    ("content", "why"),
    [(b" \n", "is empty"), (b"\xff\xfe", "is no text"), (b"x" * (MAX_BYTES + 1), "is longer than 16384 bytes")],
)
def test_a_file_without_a_credential_in_it_is_named_and_not_quoted(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(CredentialsUnreadable) as caught:
        read_credentials("kite", NAMES, lambda: {"KITE_API_KEY_FILE": str(file)})
    assert str(caught.value) == f"KITE_API_KEY_FILE: {file} {why}"
    assert caught.value.__cause__ is None


def test_a_setting_is_named_in_capitals_with_the_sources_prefix() -> None:
    assert setting_name("kite", "api_key") == "KITE_API_KEY"
