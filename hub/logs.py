"""Logging: calm lines for people or JSON lines for programs, and no secret in either.

Our loggers (`tickhub.…`) speak at `LOG_LEVEL`; everybody else's from WARNING up, as uvicorn's INFO lines quote
request addresses with the tokens in them. Whoever runs uvicorn gives it `log_config=None, access_log=False`.
"""

import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from schemas.durations import Seconds
from schemas.secret import HIDDEN

_OWN = "tickhub"
REPEAT_AFTER_S: Seconds = 60.0
_REMEMBERED = 256
_asked: ContextVar["Asked | None"] = ContextVar("asked", default=None)
_LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

_PLAIN_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONFIDENTIAL = r"(?:token|ticket|password|passwd|secret|api[_-]?key|challenge|authorization)"
_CONFIDENTIAL_FIELD = re.compile(f"{_CONFIDENTIAL}$", re.IGNORECASE)

# No pattern may cost more than its text is long, times a constant: whoever connects chooses part of that text.
_REDACTIONS = (
    (re.compile(rf"""({_CONFIDENTIAL}=\\{{0,9}}["']?)[^&\s"'\\#;,]+""", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"""({_CONFIDENTIAL}\\{{0,9}}["']\s?:\s?\\{{0,9}}["'])[^"'\\]+""", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(authorization:\s?\w{1,20}\s|bearer\s)[\w.~+/=-]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}"), HIDDEN),
    (re.compile(r"""(?<=://)[^\s"'\\<>]{1,1024}@"""), f"{HIDDEN}@"),
)


class Asked:
    """An HTTP request that is being answered; lines that are written because of it have its `name` as a field.

    Tasks, timers and callbacks that were begun meanwhile inherit it and may outlive it, so at its end its name goes.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        _asked.set(self)


def request_id() -> str:
    """The name of the request that is being answered, "" where there is none."""
    asked = _asked.get()
    return asked.name if asked is not None else ""


def redact(text: str) -> str:
    """`text` without what looks like a token, a ticket, a password or a key: the last line of defence only."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`, and the request that it is about."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _PLAIN_ATTRIBUTES}
    if name := request_id():
        extra.setdefault("request_id", name)
    return {name: HIDDEN if _CONFIDENTIAL_FIELD.search(name) else value for name, value in extra.items()}


class TextFormatter(logging.Formatter):
    """`09:15:01.250 INFO    session.closed            client=k3 code=3001`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it the traceback where there is one."""
        moment = datetime.fromtimestamp(record.created).astimezone()
        event = _one_line(record.getMessage())
        fields = " ".join(f"{name}={_word(value)}" for name, value in _fields(record).items())
        line = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d} {record.levelname:<7} {event:<26} {fields}".rstrip()
        trace = _traceback(self, record)
        return redact(f"{line}\n{trace}" if trace else line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event, the fields, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; what JSON has no form for is written as text."""
        moment = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        entry |= {f"{name}_" if name in entry else name: value for name, value in _fields(record).items()}
        if trace := _traceback(self, record):
            entry["exception"] = trace
        return redact(_json(entry))


def _json(entry: dict[str, Any]) -> str:
    try:
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, a lone surrogate: the line must be written all the same
        plain = {name: str(value).encode(errors="replace").decode() for name, value in entry.items()}
        return orjson.dumps(plain).decode()


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _one_line(text: str) -> str:
    """A message that was made of foreign text can't forge a second line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _word(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    safe = _one_line(text)
    return safe if safe and not re.search(r"[\s\"=]", safe) else '"' + safe.replace('"', '\\"') + '"'


class _Repeats(logging.Filter):
    """Leaves out a line that says, in every field, what one of the last minute has said.

    While a server is away, many parts of a process try again each second. For people only: programs count lines.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said_s: OrderedDict[tuple[object, ...], float] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is news."""
        if record.levelno >= logging.ERROR or record.exc_info or record.name.partition(".")[0] != _OWN:
            return True
        said = (record.name, record.levelno, record.getMessage(), str(_fields(record)))
        now_s = self._clock()
        if now_s - self._said_s.get(said, float("-inf")) < REPEAT_AFTER_S:
            return False
        self._said_s[said] = now_s
        self._said_s.move_to_end(said)
        if len(self._said_s) > _REMEMBERED:
            self._said_s.popitem(last=False)
        return True


class _Output(logging.StreamHandler[TextIO]):
    """The one handler that `configure` makes, and by whose type it finds it again."""

    def __init__(self, given: TextIO | None, style: str) -> None:
        super().__init__(given or sys.stderr)
        self._given = given
        self.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
        if style != "json":
            self.addFilter(_Repeats())

    def emit(self, record: logging.LogRecord) -> None:
        """One line, to what is stderr by now: while a progress bar is shown, something that writes above it is."""
        if self._given is None:
            self.stream = sys.stderr
        super().emit(record)


def for_people() -> bool:
    """Whether somebody reads along who would like to know what goes on."""
    outputs = [handler for handler in logging.getLogger().handlers if isinstance(handler, _Output)]
    text = any(isinstance(handler.formatter, TextFormatter) for handler in outputs)
    return text and logging.getLogger(_OWN).isEnabledFor(logging.INFO)


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Log from now on at `level` in the style `text` or `json`, to `stream` or stderr.

    May be called again: the former output is replaced. Warnings of Python go the same way.
    """
    output = _Output(stream, style)
    root = logging.getLogger()
    for former in [handler for handler in root.handlers if isinstance(handler, _Output)]:
        root.removeHandler(former)
    root.addHandler(output)
    quiet = max(logging.WARNING, logging.getLevelNamesMapping()[level])
    root.setLevel(quiet)
    logging.getLogger(_OWN).setLevel(level)
    for name in _LIBRARIES:
        _route(logging.getLogger(name), quiet)
    logging.captureWarnings(capture=True)


def _route(library: logging.Logger, level: int) -> None:
    library.handlers.clear()
    library.propagate = True
    library.setLevel(level)
