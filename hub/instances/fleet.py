"""All web instances as one: a question that each of them answers, or an order that it answers by obeying.

Questions and answers travel over the broker's internal namespace. Which instances live they say themselves, every
second, by a demand that lapses: so a question waits for nobody who died a while ago, and whoever is frozen, or died
just now, is waited for until the time is up, and named. An order is heard by a frozen instance once it wakes up.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from channels.broker import Broker
from channels.channel import Channel
from channels.namespace import Access, Namespace, Policy
from channels.registry import Registry
from channels.shape import Update
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.hub.instances.fleet")

ANNOUNCE_S: Seconds = 1.0
LAPSE_S: Seconds = 4.0
WAIT_S: Seconds = 1.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""An answer that is longer is not given; who writes a handler keeps its answers in pages."""
MAX_QUEUED = 100
"""Answers of one instance that are on their way out; more questions at once go without."""

_WORD = "instance:"

_FLEET = Namespace(
    name="control",
    policy=Policy.LOG,
    message_type="control",
    access=Access.INTERNAL,
    presence=False,
    history_size=8,
    history_age_s=60.0,
)
"""As `channels.namespace.CONTROL`, but little of it is kept: answers are long."""

QUESTIONS = Channel(name="control:questions", namespace=_FLEET)

T = TypeVar("T")

Handler = Callable[[Any], Any]
"""Answers a question, or obeys, at once; its answer is something that msgspec writes."""

_encode = msgspec.json.Encoder().encode


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    asker: str
    kind: str
    details: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    instance: str
    answer: msgspec.Raw


class Gathered(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What the instances have answered, by instance; `missing` are those that live and did not."""

    answers: dict[str, T]
    missing: tuple[str, ...] = ()


class _Asked:
    """A question that is out: whose answers are waited for, what has come, and whether that is all."""

    def __init__(self) -> None:
        self.expected: frozenset[str] = frozenset()
        self.answers: dict[str, msgspec.Raw] = {}
        self.complete = asyncio.Event()

    def take(self, answer: _Answer) -> None:
        self.answers[answer.instance] = answer.answer
        if self.expected <= self.answers.keys():
            self.complete.set()


class Fleet:
    """This instance among all. `run` it; `instance` is its name, unlike any other."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        instance: str,
        *,
        announce_s: Seconds = ANNOUNCE_S,
        lapse_s: Seconds = LAPSE_S,
    ) -> None:
        self.instance = instance
        self._broker = broker
        self._registry = registry
        self._announce_s = announce_s
        self._lapse_s = lapse_s
        self._handlers: dict[str, tuple[Any, Handler]] = {}
        self._asked: dict[str, _Asked] = {}
        self._queue: asyncio.Queue[tuple[str, _Answer]] = asyncio.Queue(maxsize=MAX_QUEUED)
        self._version = -1
        self._living: frozenset[str] = frozenset()
        self._away = False

    def on(self, kind: str, details: type[T], handler: Callable[[T], Any]) -> None:
        """Answer questions and obey orders of a kind; before `run`. Handlers neither wait nor raise."""
        self._handlers[kind] = (details, handler)

    async def run(self) -> NoReturn:
        """Announce this instance, hear and answer, until cancelled."""
        await self._registry.watch(QUESTIONS, self._hear_question)
        await self._registry.watch(_answers_to(self.instance), self._hear_answer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_answers(), name="fleet.answers")
            await self._announce()

    async def ask(self, kind: str, details: Any, answer: type[T], *, within_s: Seconds = WAIT_S) -> Gathered[T]:
        """Ask every instance, this one too; returns once all that live have answered, or the time is up.

        With the broker away only this instance answers, and the others that were known are missing. Cancelling is safe.
        """
        own: T = self._handlers[kind][1](details)
        question = _Question(id=secrets.token_hex(8), asker=self.instance, kind=kind, details=_raw(details))
        asked = _Asked()
        try:
            async with asyncio.timeout(within_s):
                await self._gather(question, asked)
        except (Unavailable, TimeoutError) as exc:
            silent = sorted(asked.expected - asked.answers.keys())
            log.warning("fleet.silent", extra={"kind": kind, "instances": silent, "why": type(exc).__name__})
        read = {name: one for name, raw in asked.answers.items() if (one := _read(raw, answer)) is not None}
        missing = self._living - {self.instance} - read.keys()
        return Gathered(answers={self.instance: own} | read, missing=tuple(sorted(missing)))

    async def _others(self) -> frozenset[str]:
        demanded = await self._broker.demanded(self._version)
        if demanded.names is not None:
            self._version = demanded.version
            self._living = frozenset(name.removeprefix(_WORD) for name in demanded.names if name.startswith(_WORD))
        return self._living - {self.instance}

    async def _gather(self, question: _Question, asked: _Asked) -> None:
        asked.expected = await self._others()
        self._asked[question.id] = asked
        try:
            await self._broker.publish(QUESTIONS, _encode(question))  # also for who is frozen, or new and unknown yet
            if asked.expected:
                await asked.complete.wait()
        finally:
            del self._asked[question.id]

    # -- hearing --------------------------------------------------------------------------------------------------

    def _hear_question(self, update: Update) -> None:
        try:
            question = msgspec.json.decode(update.payload, type=_Question)
            if question.asker == self.instance or question.kind not in self._handlers:
                return
            kind, handler = self._handlers[question.kind]
            details = msgspec.json.decode(question.details, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("fleet.unreadable")  # of another release
            return
        try:
            answer = handler(details)
        except Exception:  # the top of a delivery: a bug in an answer must not end what carries prices
            log.exception("fleet.bug", extra={"kind": question.kind})
            return
        if not self._queue.full():
            answered = _Answer(id=question.id, instance=self.instance, answer=_raw(answer))
            self._queue.put_nowait((question.asker, answered))

    def _hear_answer(self, update: Update) -> None:
        try:
            answer = msgspec.json.decode(update.payload, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("fleet.unreadable")
            return
        asked = self._asked.get(answer.id)
        if asked is not None:  # else it came too late
            asked.take(answer)

    # -- telling --------------------------------------------------------------------------------------------------

    async def _send_answers(self) -> NoReturn:
        while True:
            asker, answer = await self._queue.get()
            payload = _encode(answer)
            if len(payload) > MAX_ANSWER_BYTES:
                log.error("fleet.too_long", extra={"bytes": len(payload)})
                continue
            try:
                await self._broker.publish(_answers_to(asker), payload)
            except Unavailable as exc:
                log.warning("fleet.unanswered", extra={"what": exc.what, "why": exc.why})

    async def _announce(self) -> NoReturn:
        while True:
            try:
                await self._broker.demand([_WORD + self.instance], self._lapse_s)
                self._away = False
            except Unavailable as exc:
                if not self._away:
                    log.warning("fleet.unannounced", extra={"what": exc.what, "why": exc.why})
                self._away = True
            await asyncio.sleep(self._announce_s)


def _answers_to(instance: str) -> Channel:
    return Channel(name=f"control:answers.{instance}", namespace=_FLEET)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))


def _read(raw: msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        log.warning("fleet.unreadable")
        return None
