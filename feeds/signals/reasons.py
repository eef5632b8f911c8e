"""A signal's reasons as sentences, in the five languages of the hub. The texts are data/reasons.toml's."""

import tomllib
from importlib import resources

from auth.identity import LANGUAGES
from feeds.signals.rules import SignalType, Verdict


def reasons(verdict: Verdict) -> dict[str, str]:
    """Why the verdict is what it is, by language; empty for HOLD."""
    if verdict.signal_type is SignalType.HOLD:
        return {}
    return {language: _text(verdict, language) for language in LANGUAGES}


def _text(verdict: Verdict, language: str) -> str:
    direction = verdict.signal_type
    parts = [
        _TEXTS[vote.rule][direction][language].format_map({name: f"{one:.2f}" for name, one in vote.figures.items()})
        for vote in verdict.votes
    ]
    if verdict.larger is not None:
        parts.append(_TEXTS["larger_trend"][_agreement(verdict.larger, direction)][language])
    if (prediction := verdict.prediction) is not None:
        text = _TEXTS["prediction"][_agreement(prediction.direction, direction)][language]
        parts.append(text.format(percent=f"{prediction.confidence * 100:.0f}"))
    return " ".join(parts)


def _agreement(one: SignalType, other: SignalType) -> str:
    return "agrees" if one is other else "disagrees"


def _read() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads(resources.files("feeds").joinpath("data", "reasons.toml").read_text(encoding="utf-8"))


_TEXTS = _read()
"""By rule, direction and language. Read with the module, not in a running loop."""
