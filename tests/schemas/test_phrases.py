import pickle

import msgspec

from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.phrases import Phrase, translatable


def test_a_phrase_reads_as_english_with_its_values() -> None:
    inner = Phrase("{count} instruments at {feed}", {"count": "1,000", "feed": "kite"})
    assert str(Phrase("at most {limits}", {"limits": inner})) == "at most 1,000 instruments at kite"


def test_a_phrase_without_values_is_taken_as_it_is() -> None:
    assert str(Phrase("{not} a {place")) == "{not} a {place"


def test_a_phrase_travels_with_the_phrases_in_it() -> None:
    phrase = Phrase("{first} and {then}", {"first": Phrase("a {n}", {"n": 1}), "then": Phrase("b")})
    assert msgspec.json.decode(msgspec.json.encode(phrase), type=Phrase) == phrase


def test_an_error_keeps_its_phrases_when_pickled() -> None:
    error = CommandError(ErrorCode.BAD_REQUEST, "Expected an object, got {kind}", kind=Phrase("a number"))
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.values) == ("Expected an object, got a number", error.values)


def test_what_is_away_is_told_as_it_is_logged() -> None:
    away = Unavailable("database", "no answer")
    assert away.refusal.code is ErrorCode.NOT_AVAILABLE
    assert away.refusal.message == str(away) == "database is not available: no answer"


def test_a_mark_changes_nothing() -> None:
    assert translatable("{as} it is") == "{as} it is"
