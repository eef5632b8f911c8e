"""What a call says, and the TwiML that makes Twilio say it.

Who calls, what has happened and the price, in the person's language and in words; then which key does what. All of it
twice, as the first words of a call are often missed.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec
from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from auth.identity import LANGUAGES
from notifiers.outbox.delivery import Kind
from notifiers.outbox.provider import Job
from notifiers.providers.dlt import shortened
from notifiers.providers.spoken import Speech
from notifiers.wording.messages import Said
from notifiers.wording.texts import one_line

MAX_TWIML = 4000
"""Characters that Twilio takes with a call."""
KEY_TIMEOUT_S = 5
DEFAULT = "en"


class Key(StrEnum):
    """What somebody who is called may press."""

    ACKNOWLEDGE = "1"
    SNOOZE = "2"
    STOP = "9"


class Answer(StrEnum):
    """What is said after a key; the names of texts."""

    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A call in words. `keys` says which key does what, empty where no key can be heard."""

    language: str
    voice: str
    words: str
    keys: str = ""


class Scripts:
    """Writes what calls say. `say` is `Messages.of`. Reads its files: blocks for some milliseconds."""

    def __init__(self, say: Callable[[Job], Said], product: str) -> None:
        self._say = say
        self._product = product
        self._speech = {language: Speech(language) for language in LANGUAGES}

    def of(self, job: Job, *, keys: bool = True) -> Script:
        """What a call says; without `keys` no key is offered. Pure."""
        said = self._say(job)
        language = said.language if said.language in self._speech else DEFAULT
        texts = self._speech[language].call
        return Script(
            language=f"{language}-IN",
            voice=texts["voice"],
            words=" ".join([texts["opening"].format(product=self._product), *self._told(job, said, language)]),
            keys=texts["keys"] if keys else "",
        )

    def twiml(self, script: Script, action: str | None) -> str:
        """The call for Twilio; `action` is where it posts the key. What is too long loses its end."""
        words = script.words
        while len(made := _twiml(script, words, action)) > MAX_TWIML:
            words = shortened(words, len(words) * 3 // 4)
        return made

    def answer(self, answer: Answer, language: str) -> str:
        """What is said after a key, as TwiML, in a language such as `mr-IN`."""
        known = self._speech.get(language[:2])
        texts = (known or self._speech[DEFAULT]).call
        response = VoiceResponse()
        response.say(texts[answer], voice=texts["voice"], language=language if known else f"{DEFAULT}-IN")
        response.hangup()
        return str(response)

    def _told(self, job: Job, said: Said, language: str) -> list[str]:
        speech = self._speech[language]
        if job.delivery.kind != Kind.ALERT:
            return [speech.text(said.line)]
        texts, what = speech.call, one_line(said.message or said.condition).rstrip(".।")
        symbol, spoken = str(job.delivery.content.get("symbol", "")), speech.text(what)
        told = [texts["event" if symbol not in what else "message"].format(symbol=symbol, what=spoken)]
        if said.price:
            told.append(texts["price"].format(price=speech.text(said.price)))
        if said.time:
            told.append(texts["time"].format(time=speech.text(said.time)))
        return [" ".join(one.split()) for one in told]


def _twiml(script: Script, words: str, action: str | None) -> str:
    response = VoiceResponse()
    spoken = {"voice": script.voice, "language": script.language}
    for _ in range(2):
        if action is None or not script.keys:
            response.say(words, **spoken)
            continue
        gather = Gather(num_digits=1, timeout=KEY_TIMEOUT_S, action=action, method="POST")
        gather.say(f"{words} {script.keys}", **spoken)
        response.append(gather)
    return str(response)
