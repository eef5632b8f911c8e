import asyncio
import contextvars
import io
import json
import logging
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websockets
from hypothesis import given
from hypothesis import strategies as st

from hub.logs import Asked, JsonFormatter, TextFormatter, configure, redact
from schemas.secret import Secret
from tests.servers import free_port

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
log = logging.getLogger("tickhub.tests.logs")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    names = ["", "tickhub", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in map(logging.getLogger, names)]
    yield
    logging.captureWarnings(capture=False)
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


def written(style: str, level: str = "INFO") -> io.StringIO:
    """Configure logging into a text that the test reads."""
    stream = io.StringIO()
    configure(level, style, stream)
    return stream


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_text_is_time_level_event_and_fields_in_columns() -> None:
    out = written("text")
    log.info("session.closed", extra={"client": "k3", "code": 3001, "wait_s": 0.25, "reason": "two words", "none": ""})
    log.warning("broker.reconnecting")
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} INFO    session\.closed             client=k3 code=3001 wait_s=0\.25 "
        r'reason="two words" none=""',
        first,
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} WARNING broker\.reconnecting", second)


def test_json_is_one_object_a_line() -> None:
    out = written("json")
    log.info("session.closed", extra={"client": "k3", "code": 3001, "path": Path("data"), "level": "own"})
    (entry,) = entries(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "INFO",
        "logger": "tickhub.tests.logs",
        "event": "session.closed",
        "client": "k3",
        "code": 3001,
        "path": "data",
        "level_": "own",
    }


def test_a_line_names_the_request_that_it_was_written_for() -> None:
    out = written("json")

    def answer() -> None:
        asked = Asked("r-1")
        log.info("said")
        log.info("told", extra={"request_id": "r-2"})
        asked.name = ""
        log.info("outlived")

    contextvars.copy_context().run(answer)
    log.info("later")
    assert [entry.get("request_id") for entry in entries(out)] == ["r-1", "r-2", None, None]


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_is_told_and_its_secrets_are_not(style: str) -> None:
    out = written(style)
    try:
        raise ConnectionError("redis://:hunter2@cache:6379 refused")
    except ConnectionError:
        log.exception("broker.failed")
    text = json.loads(out.getvalue())["exception"] if style == "json" else out.getvalue()
    assert "Traceback" in text
    assert "ConnectionError: redis://***@cache:6379 refused" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    ("level", "told"), [("DEBUG", ["a", "b", "c"]), ("INFO", ["b", "c"]), ("WARNING", ["c"]), ("ERROR", [])]
)
def test_the_level_is_ours_and_libraries_speak_from_warning_up(style: str, level: str, told: list[str]) -> None:
    out = written(style, level)
    log.debug("event.a")
    log.info("event.b")
    log.warning("event.c")
    library = logging.getLogger("some.library")
    library.info("library.info")
    library.warning("library.warning")
    assert re.findall(r"event\.(\w)", out.getvalue()) == told
    assert "library.info" not in out.getvalue()
    assert ("library.warning" in out.getvalue()) == (level != "ERROR")


def test_configuring_again_replaces_the_former_output() -> None:
    first, second = written("text"), written("json")
    log.info("event")
    assert first.getvalue() == ""
    assert len(entries(second)) == 1


def test_warnings_of_python_are_log_lines_too() -> None:
    out = written("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    (entry,) = entries(out)
    assert (entry["logger"], entry["level"]) == ("py.warnings", "WARNING")
    assert "old ways" in entry["event"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_foreign_text_cannot_forge_a_line(style: str) -> None:
    out = written(style)
    log.info("event\n00:00:00.000 INFO forged", extra={"field": "a\r\nforged\x1b[2J\u2028"})
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\n")
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"GET /ws?token={JWT} HTTP/1.1",
        "GET /ws?ticket=hunter2&x=1",
        "GET /ws?access_token=hunter2",
        "POST /x?api_key=hunter2",
        "Authorization: Bearer hunter2hunter2",
        "authorization: Basic hunter2==",
        "bearer hunter2.hunter2",
        f"no key for {JWT}",
        "redis://:hunter2@localhost:6379/0",
        "postgresql://me:hunter2/x@db/app",
        '{"action":"auth","token":"hunter2"}',
        "{'refresh_token': 'hunter2'}",
        r'"{\"password\":\"hunter2\"}"',
        "password=hunter2; more",
        'token="hunter2"',
    ],
)
@pytest.mark.parametrize("style", ["text", "json"])
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(text: str, style: str) -> None:
    out = written(style)
    log.warning("event %s", text)
    log.warning("event", extra={"where": text})
    log.warning("event", extra={"where": [text]})
    log.warning("event", extra={"where": {"deep": text}}, exc_info=ValueError(text))
    assert "hunter2" not in out.getvalue()
    assert JWT not in out.getvalue()
    assert "***" in out.getvalue()
    if style == "json":
        assert len(entries(out)) == 4


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("name", ["token", "access_token", "Password", "smtp_password", "ticket", "api_key"])
def test_a_field_with_a_secret_s_name_is_hidden(style: str, name: str) -> None:
    out = written(style)
    log.info("event", extra={name: "hunter2 and more", "secret_one": Secret("hunter2")})
    assert "hunter2" not in out.getvalue()
    assert "and more" not in out.getvalue()


@pytest.mark.parametrize(
    "text", ["market:NSE:NIFTY 50", "http://localhost:8081/ws?x=1", "tokens=7", "a@b", "epoch=k3 offset=41", "key=12"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


FIELD_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text()),
    st.dictionaries(st.text() | st.integers(), st.text()), st.builds(object),
)  # fmt: skip


@given(st.text(), st.dictionaries(st.text("abc", min_size=1), FIELD_VALUES, max_size=4))
def test_any_event_with_any_fields_is_one_line(event: str, fields: dict[str, Any]) -> None:
    """Whatever is logged, the formatters never fail, and JSON stays JSON."""
    record = logging.makeLogRecord({"msg": event, "name": "tickhub.x", "levelname": "INFO"} | fields)
    text = TextFormatter().format(record)
    assert text.isprintable()
    assert isinstance(json.loads(JsonFormatter().format(record)), dict)


@given(st.text("token=:\"'\\ eyJ.x/@*&{}"))
def test_redaction_never_breaks_json(text: str) -> None:
    record = logging.makeLogRecord({"msg": text, "name": "tickhub.x", "levelname": "INFO", "field": {"token": text}})
    line = JsonFormatter().format(record)
    assert isinstance(json.loads(line), dict)


def test_a_very_long_line_is_redacted_in_reasonable_time() -> None:
    for piece in ("://", "token", "token=\\", "eyJ", "-eyJ.", "bearer ", "authorization: ", "a", "\\", '"'):
        started = time.perf_counter()
        redact(piece * (100_000 // len(piece)))
        assert time.perf_counter() - started < 5


async def test_uvicorn_logs_no_token_of_a_request() -> None:
    """It quotes the address of each WebSocket at INFO; neither that nor an error shows it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] in {"websocket", "http"}
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            raise RuntimeError(f"failed on {scope['query_string'].decode()}")

    out = written("text", "DEBUG")
    config = uvicorn.Config(app, port=free_port(), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(), name="uvicorn")
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        with pytest.raises(websockets.ConnectionClosed):
            async with websockets.connect(f"ws://127.0.0.1:{config.port}/ws?token={JWT}") as socket:
                await socket.recv()
        server.should_exit = True
    assert "Exception in ASGI application" in out.getvalue()
    assert "failed on token=***" in out.getvalue()
    assert JWT not in out.getvalue()
    assert " INFO " not in out.getvalue()


def test_a_line_for_people_is_not_said_again_within_a_minute() -> None:
    out = written("text")
    for pause_s in (1, 1, 2, 1):
        log.warning("broker.waiting", extra={"pause_s": pause_s})
    log.error("broker.lost")
    log.error("broker.lost")
    assert [line.split()[2:] for line in out.getvalue().splitlines()] == [
        ["broker.waiting", "pause_s=1"], ["broker.waiting", "pause_s=2"], ["broker.lost"], ["broker.lost"],
    ]  # fmt: skip
    programs = written("json")
    for _ in range(2):
        log.warning("broker.waiting")
    assert len(entries(programs)) == 2
