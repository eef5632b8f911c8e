"""Durations as people write them: `250ms`, `15m`, `7d`."""

import re

Seconds = float

_UNITS: dict[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> Seconds:
    """Seconds of a duration such as `250ms`, `30s`, `15m`, `1h` or `7d`. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 250ms, 30s, 15m, 1h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def duration_text(seconds: Seconds) -> str:
    """The shortest way to write a duration, the inverse of `parse_duration` to the microsecond."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms"
