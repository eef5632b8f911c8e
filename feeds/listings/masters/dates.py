"""The ways in which vendors write a date. All raise BadRow for one that is none."""

from datetime import UTC, date, datetime

from feeds.listings.masters.row import BadRow
from schemas.market import IST

_MONTHS = {
    name: number + 1
    for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())  # noqa: SIM905 - readable
}


def iso_date(text: str) -> date:
    """`2026-12-29`, whatever follows."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BadRow("no expiry") from None


def worded_date(text: str) -> date:
    """`29DEC2026` or `29-DEC-2026`."""
    squeezed = text.replace("-", "").upper()
    try:
        return date(int(squeezed[5:]), _MONTHS[squeezed[2:5]], int(squeezed[:2]))
    except (ValueError, KeyError):
        raise BadRow("no expiry") from None


def epoch_date(text: str, *, per_second: int = 1) -> date:
    """The day in India of a Unix time in seconds, or in 1/`per_second` of them."""
    try:
        return datetime.fromtimestamp(float(text) / per_second, UTC).astimezone(IST).date()
    except (ValueError, OverflowError, OSError):
        raise BadRow("no expiry") from None
