"""Letters about alerts: what is said, with links, as text and as HTML.

Everything in them that a user has written (the alert's name, its message) goes to that user alone, and is still put in
as text: it can open no tag, no header and no further link.
"""

from collections.abc import Callable

from notifiers.outbox.delivery import Delivery, Kind
from notifiers.outbox.provider import Job
from notifiers.wording.letters import Letter
from notifiers.wording.messages import Messages, Said
from notifiers.wording.texts import Texts

ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
"""RFC 8058, 3.1: a POST to the address in `List-Unsubscribe` is enough."""


class AlertWriter:
    """Writes the letters of deliveries."""

    def __init__(
        self,
        messages: Messages,
        domain: str,
        *,
        home: str,
        unsubscribe_url: Callable[[str, Kind], str],
        acknowledge_url: Callable[[str, int], str],
    ) -> None:
        """`domain` stands in the letters' ids, `home` is where the app is opened.

        `unsubscribe_url` is asked with a user and the kind of delivery, `acknowledge_url` with a user and a trigger's
        id. Reads the layouts: blocks for some milliseconds.
        """
        self._messages = messages
        self._domain = domain
        self._home = home
        self._unsubscribe_url = unsubscribe_url
        self._acknowledge_url = acknowledge_url
        self._text = Texts(html=False).layout("alert.txt.j2")
        self._html = Texts(html=True).layout("alert.html.j2")

    def letter(self, job: Job, to: str) -> tuple[Letter, Said]:
        """The letter of an attempt, and what it says. Raises msgspec.ValidationError for facts that are none."""
        said = self._messages.of(job)
        unsubscribe = self._unsubscribe_url(job.delivery.user, job.delivery.kind)
        given = self._given(job.delivery, said) | {"unsubscribe_url": unsubscribe}
        letter = Letter(
            id=f"d_{job.delivery.id}",
            kind=job.delivery.kind,
            to=to,
            subject=said.title,
            text=self._text.render(given),
            html=self._html.render(given),
            language=said.language,
            message_id=message_id_of(job.delivery, self._domain),
            headers=(("List-Unsubscribe", f"<{unsubscribe}>"), ONE_CLICK),
        )
        return letter, said

    def _given(self, delivery: Delivery, said: Said) -> dict[str, object]:
        acknowledgeable = delivery.kind is Kind.ALERT and delivery.trigger_id is not None
        return self._messages.buttons(said.language) | {
            "language": said.language,
            "subject": said.title,
            "product": self._messages.product,
            "symbol": said.symbol,
            "exchange": said.exchange,
            "price": said.price,
            "lead": said.message or said.line,
            "why": said.why,
            "rows": said.rows,
            "text": said.text,
            "home": self._home,
            "acknowledge_url": self._acknowledge_url(delivery.user, delivery.trigger_id or 0)
            if acknowledgeable
            else "",
        }


def message_id_of(delivery: Delivery, domain: str) -> str:
    """The same for every attempt, and never that of another delivery, not even after the database began anew."""
    return f"<d_{delivery.id}.{delivery.created_at_ms}@{domain}>"
