"""What there is to translate, read from the code; `make messages` brings the catalogues up to date with it."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from auth.identity import LANGUAGES
from hub.languages import DEFAULT

ROOT = Path(__file__).parents[1]
TRANSLATIONS = Path(__file__).with_name("translations")
PACKAGES = ("hub", "auth", "channels", "feeds", "notifiers", "schemas")

KEYWORDS: Mapping[str, tuple[int, ...] | None] = {
    "CommandError": (2,),
    "BadFrame": None,
    "Phrase": None,
    "Unavailable": None,  # its first argument, what is away
    "_denied": None,
    "_refused": None,
    "translatable": None,
    "t": None,
}
"""The calls that hold texts; which argument, else the first."""
METHODS = [("**.py", "python"), ("dashboard/**.js", "hub.extraction:texts_of_script")]

_CALL = re.compile(r'\bt\(\s*("(?:[^"\\\n]|\\.)*")')
_COMMENT = re.compile(r"^\s*(?://|/?\*).*$", re.MULTILINE)


def texts_of_script(script: IO[bytes], *_: object, **__: object) -> Iterator[tuple[int, str, str, list[str]]]:
    """The literals that a script's `t("…")` have, as Babel wants them: line, function, text, comments.

    Babel's own extractor passes over what stands within template literals, and loses its place behind nested ones.
    """
    code = _COMMENT.sub("", script.read().decode())
    for found in _CALL.finditer(code):
        yield code.count("\n", 0, found.start()) + 1, "t", json.loads(found[1]), []


def extract() -> Catalog:
    """Every text that users may be told, with the files where it stands."""
    found = Catalog(project="tickhub", fuzzy=False, charset="utf-8")
    for package in PACKAGES:
        rows = extract_from_dir(ROOT / package, method_map=METHODS, keywords=KEYWORDS)
        for name, _, text, _, _ in rows:
            if isinstance(text, str) and text:
                found.add(text, locations=[(f"{package}/{name}", 0)], flags=())
    return found


def write(catalogue: Catalog, path: Path) -> None:
    """Without dates and line numbers, so that a file changes when its texts do."""
    written = io.BytesIO()
    write_po(
        written,
        catalogue,
        width=120,
        sort_output=True,
        omit_header=True,
        include_lineno=False,
        ignore_obsolete=True,
    )
    path.write_bytes(_head(catalogue).encode() + written.getvalue())


def _head(catalogue: Catalog) -> str:
    lines = [
        "Project-Id-Version: tickhub",
        *([f"Language: {catalogue.locale}"] if catalogue.locale else []),
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    return "\n".join(['msgid ""', 'msgstr ""', *(f'"{line}\\n"' for line in lines), "", ""])


def main() -> None:
    """Write the template, and into each catalogue what is new; what is gone goes."""
    template = extract()
    write(template, TRANSLATIONS / "messages.pot")
    for language in LANGUAGES:
        if language == DEFAULT:
            continue
        path = TRANSLATIONS / f"{language}.po"
        catalogue = read_po(io.BytesIO(path.read_bytes()), locale=language)
        catalogue.update(template, no_fuzzy_matching=True)
        write(catalogue, path)


if __name__ == "__main__":
    main()
