"""What is known of something that fired: stored with its trigger, and told to people by every delivery of it."""

from collections.abc import Mapping

import msgspec

from notifiers.engine.samples import Via
from notifiers.outbox.delivery import Kind


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an alert fired, or what else there is to tell of it. Prices and other values are decimals.

    `kind` says which of the fields make sense: a notice has a `reason` and no sample, a digest a `count` and the time
    since when, a test is made of the newest price that was known.
    """

    kind: Kind
    alert_id: int
    exchange: str
    symbol: str
    condition: str
    """The canonical text."""
    at_ms: int
    """Exchange time of the firing; of a notice, when it was written."""
    number: int = 0
    """Which firing of the alert it is, from 1."""
    name: str | None = None
    message: str | None = None
    """The owner's own text, with its placeholders."""
    language: str | None = None
    critical: bool = False
    price: float | None = None
    """The instrument's last price."""
    change_percent: float | None = None
    """How far that is from the previous session's close."""
    previous: float | None = None
    previous_ms: int | None = None
    current: float | None = None
    level: float | None = None
    via: Via = "tick"
    gap: bool = False
    inputs: Mapping[str, float | None] = {}
    """All values that the condition looked at, by canonical text."""
    source: str = ""
    """`NSE:TCS` or `5m:NSE:TCS`: whose sample it was."""
    sample: int = 0
    """The sample's number within its source."""
    storm: bool = False
    suppressed: str | None = None
    """Why nobody was told: cooldown, frequency, max_per_day."""
    count: int = 0
    """Of a digest: how often it fired."""
    since_ms: int | None = None
    """Of a digest: when its window began."""
    reason: str | None = None
    """Of a notice: what became of the alert, as `alerts.status_reason` says."""


_encode = msgspec.json.Encoder().encode
_decode: "msgspec.json.Decoder[Facts]" = msgspec.json.Decoder(Facts)


def encode(facts: Facts) -> str:
    """As `triggers.facts` and `deliveries.content` hold them."""
    return _encode(facts).decode()


def decode(text: str) -> Facts:
    """Stored facts. Raises msgspec.ValidationError."""
    return _decode.decode(text)


def of_content(content: Mapping[str, object]) -> Facts:
    """The facts of `Delivery.content`. Raises msgspec.ValidationError."""
    return msgspec.convert(content, Facts)
