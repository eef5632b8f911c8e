"""What an SMS says, what it is written in, and from whom it comes: also for showing it before it is sent."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from notifiers.errors import Refused
from notifiers.outbox.provider import Job
from notifiers.providers.dlt import Dlt
from notifiers.providers.segments import Segments, plain, segments
from notifiers.wording.messages import Said
from schemas.durations import Seconds

MAX_CHARACTERS = 1600
"""Of one message, says Twilio."""


class SmsText(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS as it goes out. The ids are those of its registered template, where there are any."""

    text: str
    language: str
    segments: Segments
    template_id: str | None = None
    header: str | None = None
    entity_id: str | None = None
    held_s: Seconds = 0.0
    """For how long it must not go out yet."""


class SmsTexts:
    """Writes them. `say` is `Messages.of`; without `dlt` texts go out as they are written. `wall` is Unix seconds."""

    def __init__(
        self, say: Callable[[Job], Said], product: str, *, dlt: Dlt | None = None, wall: Callable[[], float]
    ) -> None:
        self._say = say
        self._product = product
        self._dlt = dlt
        self._wall = wall

    def of(self, job: Job) -> SmsText:
        """Pure and fast. Raises Refused for what is too long, or fits no registered template."""
        said = self._say(job)
        if self._dlt is not None:
            return self._registered(self._dlt, job, said)
        text = plain(said.sms)
        if len(text) > MAX_CHARACTERS:
            raise Refused("too long", permanent=True)
        return SmsText(text=text, language=said.language, segments=segments(text))

    def _registered(self, dlt: Dlt, job: Job, said: Said) -> SmsText:
        found = dlt.text_for(job.delivery.kind, said.language, _values(job, said, self._product))
        now = datetime.fromtimestamp(self._wall(), UTC)
        return SmsText(
            text=found.text,
            language=found.language,
            segments=segments(found.text),
            template_id=found.template_id,
            header=found.header,
            entity_id=found.entity_id,
            held_s=dlt.held_s(found.category, now),
        )


def _values(job: Job, said: Said, product: str) -> dict[str, str]:
    content = job.delivery.content
    return {
        "symbol": str(content.get("symbol", "")),
        "exchange": str(content.get("exchange", "")),
        "name": str(content.get("name") or content.get("symbol", "")),
        "condition": said.condition,
        "message": said.message or said.condition,
        "price": said.price,
        "time": said.time,
        "title": said.title,
        "line": said.line,
        "product": product,
    }
