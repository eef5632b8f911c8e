import copy
import pickle
import traceback

import msgspec
import orjson
import pytest

from schemas.secret import Secret, SecretUrl, hide_userinfo

VALUE = "correct-horse-battery-staple"


class Holder(msgspec.Struct, frozen=True):
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r:>40}".format,
        lambda secret: f"{secret:>10}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - one of the ways that must not show it
        lambda secret: repr([secret]),
        lambda secret: repr({"secret": secret}),
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(msgspec.structs.asdict(Holder(secret))),
        lambda secret: orjson.dumps({"secret": secret}, default=str).decode(),
        lambda secret: repr(ValueError(secret)),
        lambda secret: repr(dir(secret)),
    ],
)
def test_no_way_of_showing_shows_the_value(show: object) -> None:
    assert VALUE not in show(Secret(VALUE))  # type: ignore[operator]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(VALUE), protocol)


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode, orjson.dumps, msgspec.to_builtins])
def test_is_not_encoded(encode: object) -> None:
    with pytest.raises(TypeError) as caught:
        encode({"secret": Secret(VALUE)})  # type: ignore[operator]
    assert VALUE not in "".join(traceback.format_exception(caught.value))


def test_a_traceback_with_locals_does_not_show_it() -> None:
    def fail(secret: Secret) -> None:
        raise RuntimeError(f"with {secret}")

    with pytest.raises(RuntimeError) as caught:
        fail(Secret(VALUE))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    # this function's own locals hold the constant's name alone, so the value could come from the secret only
    assert VALUE not in "".join(shown.format())


def test_reveals_to_who_asks() -> None:
    assert Secret(VALUE).reveal() == VALUE


def test_equal_secrets_are_equal_and_nothing_else_is() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert hash(Secret(VALUE)) == hash(Secret(VALUE))
    assert Secret(VALUE) != Secret("другой")
    assert Secret(VALUE) != VALUE
    assert copy.deepcopy(Secret(VALUE)) == copy.copy(Secret(VALUE)) == Secret(VALUE)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:hunter2@localhost:6379/0", "redis://***@localhost:6379/0"),
        ("postgresql://me:hunter2@db/app?password=hunter2", "postgresql://***@db/app?***"),
        ("postgresql://me:hunter2/a@b?c@db:5432/app", "postgresql://***@db:5432/app"),
        ("redis+cluster://:hunter2@a:1,b:2", "redis+cluster://***@a:1,b:2"),
    ],
)
def test_a_url_shows_its_place_alone(url: str, shown: str) -> None:
    assert str(SecretUrl(url)) == shown
    assert repr(SecretUrl(url)) == f"SecretUrl({shown!r})"
    assert SecretUrl(url).reveal() == url


def test_hides_the_user_of_a_url_inside_a_text() -> None:
    assert hide_userinfo("no http://a:b@c/d here") == "no http://***@c/d here"
