"""A prediction service over HTTP, asked about candidates for signals, and never trusted further than its answer checks.

`POST {url}/predict` with `{"symbol", "market_data", "indicators", "language"}`, answered with 200 and `{"direction":
BUY|SELL|HOLD, "confidence": 0 to 1, "score": number}`. Whatever goes wrong, being away, slow or lying (another status,
a confidence of 7, a direction MAYBE, NaN, a huge body), the answer is None and the plain rules stand. After
FAILURES_TO_OPEN failures in a row nothing is asked for REST_S, then one question tries whether it is well again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Annotated, Any, Self

import aiohttp
import msgspec
from msgspec import Meta

from feeds.signals.rules import Prediction, SignalType
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.signals.prediction")

MAX_ANSWER_BYTES = 16 * 1024
FAILURES_TO_OPEN = 5
REST_S: Seconds = 30.0
MAX_CONCURRENT = 4


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the service is told. Prices in rupees."""

    symbol: str
    market_data: dict[str, Any]
    indicators: dict[str, Any]
    language: str = "en"


class _Answer(msgspec.Struct, frozen=True):
    direction: Annotated[str, Meta(max_length=10)]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    score: Annotated[float, Meta(ge=-1e6, le=1e6)]


class Lie(ValueError):
    """An answer that is none."""


class BreakerState(StrEnum):
    """Whether questions are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One question is under way to find out."""


class Breaker:
    """Stops asking who keeps failing. `clock` is monotonic seconds."""

    def __init__(
        self,
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        rest_s: Seconds = REST_S,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._failures_to_open = failures_to_open
        self._rest_s = rest_s
        self._clock = clock
        self._failures = 0
        self._opened_s = 0.0
        self.state = BreakerState.CLOSED

    def admits(self) -> bool:
        """Whether to ask now. Who is admitted reports how it went, or that it never came to know."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN and self._clock() - self._opened_s >= self._rest_s:
            self.state = BreakerState.HALF_OPEN
            return True
        return False

    def succeeded(self) -> None:
        """A question was answered well."""
        self._failures = 0
        self.state = BreakerState.CLOSED

    def failed(self) -> None:
        """A question was not."""
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN or self._failures >= self._failures_to_open:
            self._open()

    def abandoned(self) -> None:
        """A question was taken back before there was an answer: nothing is known, and the next one tries again."""
        if self.state is BreakerState.HALF_OPEN:
            self._open()
            self._opened_s -= self._rest_s

    def _open(self) -> None:
        self.state = BreakerState.OPEN
        self._opened_s = self._clock()


class PredictionService:
    """The service behind one address; an async context manager, which owns the connections.

    `timeout_s` is the limit of a whole question, waiting for its turn included.
    """

    def __init__(self, url: str, *, timeout_s: Seconds = 30.0, breaker: Breaker | None = None) -> None:
        self._url = f"{url.rstrip('/')}/predict"
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(MAX_CONCURRENT)
        self._session: aiohttp.ClientSession | None = None
        self.breaker = breaker or Breaker()
        self.answered = 0
        self.away = 0
        """Questions that no connection carried, or that ended with it."""
        self.slow = 0
        self.lied = 0
        self.skipped = 0
        """Questions that the breaker kept back."""

    async def __aenter__(self) -> Self:
        """Opens nothing yet: connections are made when the first question is asked."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,  # an answer is small; what unpacks to more than it says is none
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def predict(self, question: Question) -> Prediction | None:
        """The service's answer, or None where there is none to rely on. Raises nothing; cancelling is safe."""
        if not self.breaker.admits():
            self.skipped += 1
            return None
        known = False
        try:
            answer = await self._asked(question)
            known = True
        finally:
            if not known:
                self.breaker.abandoned()
        if answer is None:
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        return answer

    async def _asked(self, question: Question) -> Prediction | None:
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                answer = _read(await self._exchange(msgspec.json.encode(question)))
        except TimeoutError:
            self.slow += 1
            self._tell("slow", f"no answer in {self._timeout_s:g} s")
        except Lie as exc:
            self.lied += 1
            self._tell("lied", str(exc))
        except (aiohttp.ClientError, OSError) as exc:
            self.away += 1
            self._tell("away", type(exc).__name__)
        else:
            self.answered += 1
            return answer
        return None

    async def _exchange(self, body: bytes) -> bytes:
        if self._session is None:
            raise RuntimeError("a PredictionService is used inside `async with`")
        async with self._session.post(self._url, data=body, allow_redirects=False) as response:
            if response.status != 200:
                raise Lie(f"status {response.status}")
            answer = b""
            async for chunk in response.content.iter_chunked(4096):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise Lie(f"more than {MAX_ANSWER_BYTES} bytes")
            return answer

    def _tell(self, how: str, why: str) -> None:
        log.warning("prediction.failed", extra={"how": how, "why": why, "breaker": self.breaker.state})


def _read(raw: bytes) -> Prediction:
    """Checks an answer. Raises Lie."""
    try:
        answer = msgspec.json.decode(raw, type=_Answer)
        direction = SignalType(answer.direction.upper())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise Lie(str(exc)[:200]) from exc
    return Prediction(direction=direction, confidence=answer.confidence, score=answer.score)
