import stat
from pathlib import Path

import pytest

from auth.sealing import Sealer
from hub.encryption_keys import FILE_NAME, encryption_keys
from hub.secret import kept_secret
from schemas.errors import SettingsError
from schemas.settings import load

SECRET = "a secret for the tests, long enough to sign with"
OLD, NEW = "o" * 32, "n" * 40


def keys(tmp_path: Path, **changed: str) -> list[bytes]:
    return encryption_keys(load({"DATA_DIR": str(tmp_path)} | changed))


def test_keys_that_are_set_are_the_keys_in_their_order(tmp_path: Path) -> None:
    assert keys(tmp_path, ENCRYPTION_KEYS=f"{NEW}, {OLD}") == [NEW.encode(), OLD.encode()]
    assert list(tmp_path.iterdir()) == []


def test_without_any_one_is_derived_from_the_token_secret(tmp_path: Path) -> None:
    (key,) = keys(tmp_path, JWT_SECRET=SECRET)
    assert keys(tmp_path, JWT_SECRET=SECRET) == [key]
    assert len(key) == 32
    assert key not in SECRET.encode()
    assert keys(tmp_path, JWT_SECRET=SECRET[::-1]) != [key]
    assert list(tmp_path.iterdir()) == []


def test_without_a_secret_one_is_made_and_kept(tmp_path: Path) -> None:
    (key,) = keys(tmp_path)
    assert keys(tmp_path) == [key]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert kept_secret(tmp_path).reveal().encode() != key


def test_whoever_sets_a_better_key_loses_nothing(tmp_path: Path) -> None:
    sealed = Sealer(keys(tmp_path)).seal("a", "c")
    later = Sealer(keys(tmp_path, JWT_SECRET=SECRET))
    assert later.open(sealed, "c") == "a"
    assert later.outdated(sealed)
    last = Sealer(keys(tmp_path, JWT_SECRET=SECRET, ENCRYPTION_KEYS=NEW))
    assert last.open(sealed, "c") == last.open(later.seal("a", "c"), "c") == "a"
    assert last.outdated(later.seal("a", "c"))


def test_a_spoilt_key_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("short\n")
    with pytest.raises(SettingsError, match=f"^DATA_DIR: .*{FILE_NAME} holds no secret"):
        keys(tmp_path)
    assert (tmp_path / FILE_NAME).read_text() == "short\n"
