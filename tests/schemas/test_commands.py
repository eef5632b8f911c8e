from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import commands
from schemas.commands import AnyCommand, History, Ping, Position, Subscribe, Unsubscribe
from schemas.errors import CommandError, ErrorCode

decode = msgspec.json.Decoder(AnyCommand).decode
decode_msgpack = msgspec.msgpack.Decoder(AnyCommand).decode

ACTIONS = ["auth", "subscribe", "unsubscribe", "subscriptions", "ping", "refresh", "history", "presence", "publish"]
LEAST: dict[str, dict[str, Any]] = {
    "auth": {"token": "t"},
    "refresh": {"token": "t"},
    "history": {"channel": "c:d"},
    "presence": {"channel": "c:d"},
    "publish": {"channel": "c:d", "data": {}},
}
"""What each command can't do without."""


def command(action: str, **fields: Any) -> bytes:
    """A command as a client writes it."""
    return msgspec.json.encode({"action": action} | LEAST.get(action, {}) | fields)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("request_id", [None, 0, 7, -1, "", "a" * 64])
def test_each_command_of_the_contract_is_one_and_echoes_its_id(action: str, request_id: object) -> None:
    read = decode(command(action, id=request_id))
    assert type(read).__struct_config__.tag == action
    assert read.id == request_id


@pytest.mark.parametrize("action", ACTIONS)
def test_both_formats_read_the_same(action: str) -> None:
    fields = {"action": action} | LEAST.get(action, {})
    read = decode_msgpack(msgspec.msgpack.encode(fields))
    assert type(read) is type(decode(command(action)))


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unknown_field_is_refused_by_name(action: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="chanel"):
        decode(command(action, chanel="market:RELIANCE"))


@pytest.mark.parametrize("action", LEAST)
def test_what_a_command_needs_is_asked_for_by_name(action: str) -> None:
    for field in LEAST[action]:
        fields = {name: value for name, value in LEAST[action].items() if name != field}
        with pytest.raises(msgspec.ValidationError, match=field):
            decode(msgspec.json.encode({"action": action} | fields))


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"action":"fly"}', r"\$\.action"),
        (b'{"channel":"c:d"}', "action"),
        (b"[]", "array"),
        (command("subscribe", channel=1), r"\$\.channel"),
        (command("subscribe", channel=""), r"\$\.channel"),
        (command("subscribe", channel="x" * 256), r"\$\.channel"),
        (command("subscribe", channels=["a", 2]), r"\$\.channels\[1\]"),
        (command("subscribe", mode="all"), r"\$\.mode"),
        (command("subscribe", max_frequency=0), r"\$\.max_frequency"),
        (command("subscribe", max_frequency=1001), r"\$\.max_frequency"),
        (command("subscribe", delta=1), r"\$\.delta"),
        (command("subscribe", id="a" * 65), r"\$\.id"),
        (command("subscribe", id=1.5), r"\$\.id"),
        (command("history", limit=-1), r"\$\.limit"),
        (command("history", limit=commands.MAX_HISTORY + 1), r"\$\.limit"),
        (command("history", since={"epoch": "k", "offset": -1}), r"\$\.since\.offset"),
        (command("publish", data=[]), r"\$\.data"),
        (command("auth", token=""), r"\$\.token"),
        (command("auth", token="x" * 8193), r"\$\.token"),
    ],
)
def test_a_wrong_command_is_refused_with_its_place(raw: bytes, place: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=place):
        decode(raw)


@pytest.mark.parametrize(("limit", "read"), [(0, 0), (commands.MAX_HISTORY, commands.MAX_HISTORY)])
def test_the_bounds_of_a_history_are_inside(limit: int, read: int) -> None:
    asked = decode(command("history", limit=limit))
    assert isinstance(asked, History)
    assert asked.limit == read


def test_options_have_their_defaults() -> None:
    assert decode(command("subscribe", channel="c:d")) == Subscribe(channel="c:d")
    assert decode(command("ping")) == Ping()


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
@pytest.mark.parametrize(
    ("fields", "names"), [({"channel": "a:b"}, ["a:b"]), ({"channels": ["a:b", "a:c"]}, ["a:b", "a:c"])]
)
def test_channels_are_named_singly_or_as_a_list(action: str, fields: dict[str, Any], names: list[str]) -> None:
    read = decode(command(action, **fields))
    assert isinstance(read, Subscribe | Unsubscribe)
    assert read.names == names


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
@pytest.mark.parametrize("fields", [{}, {"channel": "a:b", "channels": ["a:c"]}])
def test_naming_no_channels_or_twice_is_a_bad_request(action: str, fields: dict[str, Any]) -> None:
    read = decode(command(action, **fields))
    assert isinstance(read, Subscribe | Unsubscribe)
    with pytest.raises(CommandError, match="`channel`") as caught:
        _ = read.names
    assert caught.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    ("fields", "positions"),
    [
        ({"channel": "a:b"}, {}),
        ({"channel": "a:b", "recover": {"epoch": "k", "offset": 3}}, {"a:b": Position("k", 3)}),
        ({"channels": ["a:b"], "recover": {"epoch": "k", "offset": 0}}, {"a:b": Position("k", 0)}),
        (
            {"channels": ["a:b", "a:c"], "recover": {"a:b": {"epoch": "k", "offset": 3}}},
            {"a:b": Position("k", 3)},
        ),
        ({"channels": ["a:b"], "recover": {}}, {}),
    ],
)
def test_recover_is_one_position_or_a_map_of_them(fields: dict[str, Any], positions: dict[str, Position]) -> None:
    read = decode(command("subscribe", **fields))
    assert isinstance(read, Subscribe)
    assert read.positions() == positions


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": ["a:b", "a:c"], "recover": {"epoch": "k", "offset": 3}},
        {"channel": "a:b", "recover": {"epoch": "k"}},
        {"channel": "a:b", "recover": {"offset": 3}},
        {"channel": "a:b", "recover": {"epoch": "k", "offset": "3"}},
        {"channel": "a:b", "recover": {"epoch": 3, "offset": 3}},
        {"channel": "a:b", "recover": {"epoch": "k", "offset": -1}},
        {"channel": "a:b", "recover": {"epoch": "k", "offset": 3, "more": 1}},
        {"channel": "a:b", "recover": {"a:b": 3}},
        {"channel": "a:b", "recover": {"a:b": "k"}},
    ],
)
def test_a_wrong_position_is_a_bad_request(fields: dict[str, Any]) -> None:
    read = decode(command("subscribe", **fields))
    assert isinstance(read, Subscribe)
    with pytest.raises(CommandError, match="recover") as caught:
        read.positions()
    assert caught.value.code is ErrorCode.BAD_REQUEST


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["id", "channel", "channels", "recover", "token", "mode", "delta", "limit", "since", "data", "max_frequency"]
COMMANDS = st.builds(
    lambda action, fields: msgspec.json.encode({"action": action} | fields),
    st.sampled_from([*ACTIONS, "fly"]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
)


@given(st.binary(max_size=100) | COMMANDS)
def test_any_bytes_are_a_command_or_refused(raw: bytes) -> None:
    """A decoder raises nothing but what a session answers with BAD_REQUEST."""
    try:
        read = decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    assert decode(msgspec.json.encode(read)) == read
    if isinstance(read, Subscribe):
        try:
            assert all(isinstance(position, Position) for position in read.positions().values())
        except CommandError as exc:
            assert exc.code is ErrorCode.BAD_REQUEST  # noqa: PT017 - a refusal is one of the two right outcomes
