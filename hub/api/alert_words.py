"""What alerts say, before they say it: in every language, with what it costs as SMS."""

import time
from collections.abc import Callable

import msgspec

from auth.identity import LANGUAGES
from hub.api.alert_views import SaidView, SegmentsView
from notifiers.alerts.alert import Alert
from notifiers.alerts.facts import Facts
from notifiers.conditions.checking import Checked
from notifiers.conditions.words import words
from notifiers.errors import Refused
from notifiers.outbox.delivery import Delivery, Kind, Status
from notifiers.outbox.provider import Addressee, Job
from notifiers.providers.sms_text import SmsTexts
from notifiers.way import Way
from notifiers.wording.messages import Messages


class AlertWords:
    """Conditions and messages in words, by what writes them when it is in earnest. `wall` tells Unix seconds."""

    def __init__(self, messages: Messages, sms_texts: SmsTexts, *, wall: Callable[[], float] = time.time) -> None:
        self._messages = messages
        self._sms_texts = sms_texts
        self._wall = wall

    def of(self, condition: Checked, exchange: str, symbol: str) -> dict[str, str]:
        """A condition in every language."""
        return {language: words(condition.tree, language, exchange, symbol) for language in LANGUAGES}

    def said_of(self, alert: Alert, price: float | None) -> list[SaidView]:
        """What an alert would say if it fired now."""
        return self.said(
            exchange=alert.exchange,
            symbol=alert.symbol,
            condition=alert.condition,
            name=alert.name,
            message=alert.message,
            price=price,
        )

    def said(
        self,
        *,
        exchange: str,
        symbol: str,
        condition: str,
        name: str | None,
        message: str | None,
        price: float | None = None,
    ) -> list[SaidView]:
        """The same of an alert that is not made yet, in every language."""
        now_ms = int(self._wall() * 1000)
        facts = Facts(
            kind=Kind.ALERT,
            alert_id=0,
            exchange=exchange,
            symbol=symbol,
            condition=condition,
            at_ms=now_ms,
            number=1,
            name=name,
            message=message,
            price=price,
            current=price,
        )
        delivery = _delivery(facts, now_ms)
        return [self._said(delivery, language) for language in LANGUAGES]

    def _said(self, delivery: Delivery, language: str) -> SaidView:
        job = Job(delivery=delivery, attempt=1, addressee=Addressee(user=""), language=language, token="")
        said = self._messages.of(job)
        sms, parts, problem = None, None, None
        try:
            text = self._sms_texts.of(job)
        except Refused as exc:
            problem = exc.reason
        else:
            sms, counted = text.text, text.segments
            parts = SegmentsView(encoding=counted.encoding, units=counted.units, count=counted.count)
        return SaidView(
            language=said.language,
            title=said.title,
            line=said.line,
            text=said.text,
            sms=sms,
            segments=parts,
            sms_problem=problem,
        )


def _delivery(facts: Facts, now_ms: int) -> Delivery:
    """A delivery that tells them, and is never stored."""
    return Delivery(
        id=0,
        key="",
        trigger_id=None,
        alert_id=None,
        user="",
        kind=facts.kind,
        channel=Way.SMS,
        endpoint="",
        status=Status.QUEUED,
        reason=None,
        priority=0,
        due_at_ms=now_ms,
        expires_at_ms=now_ms,
        unless_acknowledged=False,
        content=msgspec.to_builtins(facts),
        attempts=0,
        provider=None,
        provider_id=None,
        provider_status=None,
        cost=0,
        created_at_ms=now_ms,
        sent_at_ms=None,
        finished_at_ms=None,
    )
