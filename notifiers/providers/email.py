"""Mail about alerts: the provider of the channel `email`, over any `Mailer`."""

from notifiers.errors import Refused
from notifiers.outbox.delivery import Delivery
from notifiers.outbox.provider import Job, Outcome
from notifiers.providers.mail import Mailer
from notifiers.way import Way
from notifiers.wording.alert_letters import AlertWriter
from schemas.durations import Seconds
from schemas.errors import Unavailable


class EmailProvider:
    """Sends each delivery as a letter; see `notifiers.outbox.provider.Provider`.

    A mail server that has taken a letter over says no more of it: `sent` is the last that is known. A letter in a file
    is `delivered`.
    """

    way = Way.EMAIL
    resend_unknown = True
    """Every copy of a letter has the same Message-ID."""

    def __init__(self, mailer: Mailer, writer: AlertWriter, *, time_limit_s: Seconds = 25.0) -> None:
        """The time limit is to be above the mailer's own, which tells more of what has happened."""
        self.name = mailer.name
        self.time_limit_s = time_limit_s
        self._mailer = mailer
        self._writer = writer

    async def send(self, job: Job) -> Outcome:
        """See `Provider`. The Message-ID is the mail's id with the provider."""
        to = job.addressee.email
        if to is None:
            raise Refused("no_address", permanent=True)
        letter, said = self._writer.letter(job, to)
        await self._mailer.send(letter)
        return Outcome(status=self._mailer.reaches, id=letter.message_id, detail=said.detail)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`. Nobody can be asked for a mail."""
        del job, since_ms
        raise Unavailable("the mail server", "it can't be asked what it has taken")

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`. Nobody tells more of a mail."""
        del delivery
        return None

    async def close(self) -> None:
        """See `Provider`."""
        await self._mailer.close()
