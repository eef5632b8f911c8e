"""What isn't sent stands whole in a file, under a name that tells what it is."""

import stat
from pathlib import Path

import pytest

from notifiers.providers.files import Outbox
from schemas.errors import Unavailable


def test_a_file_is_named_by_time_kind_and_id(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "a" / "outbox", wall=lambda: 1_800_000_000)
    path = outbox.keep("login_code", "m_1", "eml", b"content")
    assert path == tmp_path / "a" / "outbox" / "20270115T080000Z-login_code-m_1.eml"
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (path.parent, tmp_path / "a")} == {0o700}


def test_the_same_once_more_takes_its_place_and_leaves_no_half(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, wall=lambda: 0)
    outbox.keep("login_code", "m_1", "eml", b"a longer first content")
    path = outbox.keep("login_code", "m_1", "eml", b"second")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"second"


def test_a_folder_that_is_none_is_not_available(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("")
    with pytest.raises(Unavailable):
        Outbox(tmp_path / "outbox").keep("login_code", "m_1", "eml", b"")


def test_what_was_kept_is_found_by_kind_and_id(tmp_path: Path) -> None:
    times = iter([0, 60, 120])
    outbox = Outbox(tmp_path, wall=lambda: next(times))
    assert outbox.find("alert", "4", "sms.txt") is None
    outbox.keep("alert", "4", "sms.txt", b"")
    newest = outbox.keep("alert", "4", "sms.txt", b"")
    outbox.keep("alert", "41", "sms.txt", b"")
    assert outbox.find("alert", "4", "sms.txt") == newest.name
    assert outbox.find("alert", "4", "call.txt") is None
