"""Namespaces: those built in, and those of a file with all its faults told at once."""

from pathlib import Path

import pytest

from channels.channel import ChannelNames
from channels.namespace import BUILT_IN, Access, Namespaces, Policy, Publishers
from schemas.errors import CommandError


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "namespaces.toml"


def test_every_log_has_history_and_no_latest_has() -> None:
    for namespace in BUILT_IN:
        assert bool(namespace.history_size) == (namespace.policy is Policy.LOG)
        assert bool(namespace.history_age_s) == (namespace.policy is Policy.LOG)


def test_no_client_publishes_where_nobody_said_so() -> None:
    assert {namespace.publish for namespace in BUILT_IN} == {Publishers.NONE}


@pytest.mark.parametrize(
    ("name", "policy", "access"),
    [
        ("market", Policy.LATEST, Access.ANY),
        ("depth", Policy.LATEST, Access.BASIC),
        ("candles", Policy.LATEST, Access.ANY),
        ("signals", Policy.LOG, Access.BASIC),
        ("alerts", Policy.LOG, Access.OWNER),
        ("status", Policy.LATEST, Access.ANY),
    ],
)
def test_the_contracts_namespaces_are_there(name: str, policy: Policy, access: Access) -> None:
    namespace = Namespaces().get(name)
    assert namespace is not None
    assert (namespace.policy, namespace.access) == (policy, access)


def test_a_file_adds_namespaces(write: Path) -> None:
    write.write_text(
        """
        [orders]
        policy = "log"
        access = "owner"
        history_size = 50
        history_age = "2d"
        fields = { order_id = "string", quantity = "integer", price = "number?" }

        [news]
        policy = "log"

        [bot]
        policy = "latest"
        publish = "subscribers"
        message_type = "bot:says"
        """
    )
    namespaces = Namespaces.load(write)
    orders, news, bot = (namespaces.get(name) for name in ("orders", "news", "bot"))
    assert orders is not None
    assert (orders.policy, orders.access, orders.history_size, orders.history_age_s) == (
        Policy.LOG,
        Access.OWNER,
        50,
        2 * 86400,
    )
    assert orders.normalise(b'{"order_id": "a", "quantity": 1}') == b'{"order_id":"a","quantity":1}'
    with pytest.raises(CommandError):
        orders.normalise(b'{"order_id":"a","quantity":"many"}')
    assert news is not None
    assert (news.message_type, news.history_size, news.history_age_s) == ("news:new", 100, 3600)
    assert bot is not None
    assert (bot.message_type, bot.publish, bot.history_size) == ("bot:says", Publishers.SUBSCRIBERS, 0)
    assert namespaces.get("market") is not None
    assert ChannelNames(namespaces).parse("orders:user", user="7").name == "orders:7"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('[market]\npolicy = "log"', "taken"),
        ('[News]\npolicy = "log"', "lower-case"),
        ("[news]", "policy"),
        ('[news]\npolicy = "both"', "both"),
        ('[news]\npolicy = "log"\ncolour = "red"', "colour"),
        ('[news]\npolicy = "log"\naccess = "internal"', "internal"),
        ('[news]\npolicy = "latest"\nhistory_size = 1', "history"),
        ('[news]\npolicy = "log"\nhistory_size = 100001', "100000"),
        ('[news]\npolicy = "log"\nhistory_size = -1', "100000"),
        ('[news]\npolicy = "log"\nhistory_age = "soon"', "soon"),
        ('[news]\npolicy = "log"\nhistory_age = "500ms"', "365d"),
        ('[news]\npolicy = "log"\nhistory_age = "366d"', "365d"),
        ('[news]\npolicy = "log"\naccess = "owner"\npublish = "subscribers"', "owned"),
        ('[news]\npolicy = "log"\nfields = { a = "text" }', "text"),
        ('[news]\npolicy = "log"\nfields = { "a b" = "string" }', "a b"),
        ("news = 1", "news"),
        ("[news", "namespaces.toml"),
    ],
)
def test_a_fault_is_named(write: Path, table: str, fault: str) -> None:
    write.write_text(table)
    with pytest.raises(ValueError, match=fault):
        Namespaces.load(write)


def test_all_faults_are_told_at_once(write: Path) -> None:
    write.write_text('[market]\npolicy = "log"\n[news]\npolicy = "both"\n[bot]\npolicy = "latest"')
    with pytest.raises(ValueError, match=r"\[market\].*\n\[news\]"):
        Namespaces.load(write)


def test_a_file_that_is_no_text_is_a_value_error(write: Path) -> None:
    write.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="namespaces"):
        Namespaces.load(write)


def test_a_missing_file_is_an_os_error(write: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Namespaces.load(write)
