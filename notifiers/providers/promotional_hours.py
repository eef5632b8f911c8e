"""The gate that holds promotional SMS until their hours: nothing is lost by it, and no attempt is made in vain."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from notifiers.outbox.delivery import Delivery
from notifiers.outbox.gates import Hold, Verdict
from notifiers.outbox.provider import Addressee
from notifiers.providers.dlt import FALLBACK, Dlt
from notifiers.way import Way

REASON = "promotional hours"


class PromotionalHours:
    """A gate, see `notifiers.outbox.gates.Gate`. `wall` is Unix seconds."""

    def __init__(self, dlt: Dlt, *, wall: Callable[[], float]) -> None:
        self._dlt = dlt
        self._wall = wall

    async def __call__(
        self, deliveries: Sequence[Delivery], addressees: Mapping[str, Addressee]
    ) -> Mapping[int, Verdict]:
        """Which of them wait."""
        verdicts: dict[int, Verdict] = {}
        for delivery in deliveries:
            addressee = addressees.get(delivery.user)
            until_ms = self._held_until_ms(delivery, addressee.language if addressee else FALLBACK)
            if until_ms is not None:
                verdicts[delivery.id] = Hold(until_ms, REASON, keeps=True)
        return verdicts

    def _held_until_ms(self, delivery: Delivery, language: str) -> int | None:
        if delivery.channel is not Way.SMS:
            return None
        category = self._dlt.category(delivery.kind, str(delivery.content.get("language") or language))
        now_s = self._wall()
        held_s = 0.0 if category is None else self._dlt.held_s(category, datetime.fromtimestamp(now_s, UTC))
        return round((now_s + held_s) * 1000) if held_s else None
