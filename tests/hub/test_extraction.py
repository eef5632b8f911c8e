"""The catalogues hold what the code says, all of it, in the right letters; `make messages` brings them up to date."""

import ast
import io
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from auth.identity import LANGUAGES
from hub.extraction import KEYWORDS, PACKAGES, ROOT, TRANSLATIONS, extract, main, texts_of_script, write

STALE = "run `make messages`, and translate what is new"
OTHERS = [language for language in LANGUAGES if language != "en"]
_WORD = re.compile(r"[a-z]{3}")
_PLACE = re.compile(r"\{\w+\}")
SCRIPTS = {"hi": (0x0900, 0x097F), "mr": (0x0900, 0x097F), "gu": (0x0A80, 0x0AFF), "kn": (0x0C80, 0x0CFF)}
DANDAS = "\u0964\u0965\u200c\u200d"
"""Marks of other blocks that every script uses: full stops, joiners."""

ACRONYMS = {"API", "SAR", "SMS", "1", "2"}
"""What is written in Latin letters where English has a word."""

NAMES = {"Redis", "Twilio", "null", "{faults}"}
"""What is called the same everywhere."""
DROPPED = {"{what} is not available: {why}": {"why"}}
"""Values that only English tells: what failed within."""

_CODE = re.compile(r"`[^`]*`")
_LATIN = re.compile(r"[A-Za-z0-9_]+")


def read(language: str) -> Catalog:
    return read_po(io.BytesIO((TRANSLATIONS / f"{language}.po").read_bytes()), locale=language)


def texts(catalogue: Catalog) -> dict[str, str]:
    return {str(entry.id): str(entry.string) for entry in catalogue if entry.id}


@pytest.fixture(scope="module")
def said() -> set[str]:
    """All texts in the code."""
    return set(texts(extract()))


def placeholders(text: str) -> list[str]:
    """`{name}` and `{name!r}`, each as often as it stands there."""
    return sorted(
        f"{name}!{how}" if how else name for _, name, _, how in string.Formatter().parse(text) if name is not None
    )


def test_the_code_says_something(said: set[str]) -> None:
    assert {"Not Found", "{fault} - at {place}", "database", "ended by the server"} <= said
    assert len(said) > 200


def test_the_template_is_what_the_code_says(tmp_path: Path) -> None:
    write(extract(), tmp_path / "messages.pot")
    assert (tmp_path / "messages.pot").read_bytes() == (TRANSLATIONS / "messages.pot").read_bytes(), STALE


@pytest.mark.parametrize("language", OTHERS)
class TestACatalogue:
    def test_it_has_every_text_and_no_other(self, language: str, said: set[str]) -> None:
        assert set(texts(read(language))) == said, STALE

    def test_nothing_is_left_empty_or_unsure(self, language: str) -> None:
        unfinished = [entry.id for entry in read(language) if entry.id and (entry.fuzzy or not entry.string)]
        assert unfinished == []

    def test_a_translation_has_the_text_s_values(self, language: str) -> None:
        for text, told in texts(read(language)).items():
            kept = [name for name in placeholders(text) if name not in DROPPED.get(text, ())]
            assert placeholders(told) == kept, text

    def test_a_translation_leaves_code_and_places_alone(self, language: str) -> None:
        for text, told in texts(read(language)).items():
            assert sorted(_CODE.findall(told)) == sorted(_CODE.findall(text)), text

    def test_a_translation_has_no_latin_word_that_the_text_has_not(self, language: str) -> None:
        for text, told in texts(read(language)).items():
            assert set(_LATIN.findall(told)) <= set(_LATIN.findall(text)) | ACRONYMS, text

    def test_a_translation_is_in_the_language_s_script(self, language: str) -> None:
        first, last = SCRIPTS[language]
        for text, told in texts(read(language)).items():
            foreign = [letter for letter in told if ord(letter) > 0x2FF and letter not in DANDAS + text]
            assert all(first <= ord(letter) <= last for letter in foreign), text
            assert bool(foreign) or text in NAMES or not _WORD.search(_PLACE.sub("", text)), text

    def test_writing_it_anew_changes_nothing(self, language: str, tmp_path: Path) -> None:
        write(read(language), tmp_path / "again.po")
        assert (tmp_path / "again.po").read_bytes() == (TRANSLATIONS / f"{language}.po").read_bytes(), STALE


def test_updating_keeps_translations_adds_new_texts_and_drops_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, folder = tmp_path / "code", tmp_path / "translations"
    for package in PACKAGES:
        (code / package).mkdir(parents=True)
    (code / "hub" / "a.py").write_text('CommandError(code, "Kept {n}", n=1)\nPhrase("New")\nother("Not this")\n')
    folder.mkdir()
    for language in OTHERS:
        (folder / f"{language}.po").write_text('msgid "Kept {n}"\nmsgstr "{n}!"\n\nmsgid "Old"\nmsgstr "x"\n')
    monkeypatch.setattr("hub.extraction.TRANSLATIONS", folder)
    monkeypatch.setattr("hub.extraction.ROOT", code)
    main()
    for language in OTHERS:
        catalogue = read_po(io.BytesIO((folder / f"{language}.po").read_bytes()))
        assert texts(catalogue) == {"Kept {n}": "{n}!", "New": ""}
    assert set(texts(read_po(io.BytesIO((folder / "messages.pot").read_bytes())))) == {"Kept {n}", "New"}


# -- the code ---------------------------------------------------------------------------------------------------------


@cache
def modules() -> list[tuple[str, ast.Module]]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def told(module: ast.Module) -> Iterator[tuple[ast.Call, ast.expr]]:
    """The calls that make an error or a phrase, with what they give as its text."""
    for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
        name, arguments = name_of(call.func), call.args
        if name == "__init__" and arguments and ast.unparse(arguments[0]).startswith(("ErrorCode.", "code")):
            name = "CommandError"
        if name in KEYWORDS and name != "Unavailable":
            place = (KEYWORDS[name] or (1,))[0] - 1
            if len(arguments) > place:
                yield call, arguments[place]


def computed(text: ast.expr) -> bool:
    """Whether a text is put together at run time."""
    match text:
        case ast.JoinedStr() | ast.BinOp():
            return True
        case ast.Call(func=function):
            return name_of(function) != "translatable"
        case ast.IfExp(body=one, orelse=other):
            return computed(one) or computed(other)
        case _:
            return False


def assigned(module: ast.Module, call: ast.Call, text: ast.expr) -> list[ast.expr]:
    """What the name that stands for a text is set to, in the function of the call or else in the module."""
    if not isinstance(text, ast.Name):
        return []
    around = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and call in set(ast.walk(node))
    ]
    return [
        node.value
        for scope in (around[-1] if around else module, module)
        for node in (ast.walk(scope) if scope is not module else module.body)
        if isinstance(node, ast.Assign) and any(ast.unparse(one) == text.id for one in node.targets)
    ]


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ('CommandError(code, "No {x}", x=1)', False),
        ('CommandError(code, translatable("No"))', False),
        ('CommandError(code, f"No {x}")', True),
        ('CommandError(code, "No " + x)', True),
        ('CommandError(code, "No %s" % x)', True),
        ('errors.CommandError(code, "No {}".format(x))', True),
        ("CommandError(code, str(exc))", True),
        ('super().__init__(ErrorCode.NOT_FOUND, f"No {x}")', True),
    ],
)
def test_a_text_that_is_put_together_is_noticed(source: str, bad: bool) -> None:
    assert [computed(text) for call, text in told(ast.parse(source)) if name_of(call.func) != "translatable"] == [bad]


def test_no_text_is_put_together_at_run_time() -> None:
    """Such a one could not be translated: what varies in it goes into values."""
    found = [
        f"{path}:{call.lineno}"
        for path, module in modules()
        for call, text in told(module)
        if computed(text) or any(map(computed, assigned(module, call, text)))
    ]
    assert found == []


def test_a_text_that_stands_elsewhere_is_marked() -> None:
    """Else it would not be found, and stay English."""
    found = [
        f"{path}:{call.lineno}"
        for path, module in modules()
        for call, text in told(module)
        if any(isinstance(one, ast.Constant) for one in assigned(module, call, text))
    ]
    assert found == []


def test_an_error_s_own_constructor_gives_a_marked_text() -> None:
    found = [
        f"{path}:{call.lineno}"
        for path, module in modules()
        for call, text in told(module)
        if name_of(call.func) == "__init__" and isinstance(text, ast.Constant)
    ]
    assert found == []


def test_every_text_is_given_its_values() -> None:
    found = [
        f"{path}:{call.lineno}"
        for path, module in modules()
        for call, text in told(module)
        if name_of(call.func) in {"CommandError", "_denied", "_refused"}
        and isinstance(text, ast.Constant)
        and all(keyword.arg is not None for keyword in call.keywords)
        and {one.partition("!")[0] for one in placeholders(str(text.value))} != {one.arg for one in call.keywords}
    ]
    assert found == []


def test_a_scripts_texts_are_found_wherever_they_stand() -> None:
    script = rb"""
        // not t("of a comment")
        const a = t("plain"), b = `${t("in a template")} and ${`${t("nested \"deeper\"")}`}`;
        h("p", null, t("with {place}", { place: t("another") })); split("no text"); `${x}`; t(
          "on a line of its own", {});
    """
    found = [text for _, _, text, _ in texts_of_script(io.BytesIO(script))]
    assert found == ["plain", "in a template", 'nested "deeper"', "with {place}", "another", "on a line of its own"]
