r"""The `.env` file: `NAME=value` lines, as shells and other tools write them.

    # a comment                     export NAME=value      # the word export is allowed
    NAME=plain text                 # a comment behind a space ends a plain value
    NAME='exactly this'             # single quotes: nothing is special
    NAME="two\nlines"               # double quotes: \n \t \" \\ \$ are read; either kind may span lines

Nothing is expanded: `$HOME` stays as it is. A name that stands twice has its last value.
"""

import re

_ENTRY = re.compile(
    r"""
    [ \t]* (?:export[ \t]+)? (?P<name>[A-Za-z_][A-Za-z0-9_]*) [ \t]* = [ \t]*
    (?:
        '(?P<single>[^']*)'
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | (?P<plain>[^'"\s\#][^\r\n]*?) (?=[ \t]+\#|[ \t]*(?:\r?\n|\Z))
      |
    )
    [ \t]* (?:\#[^\n]*)? (?:\r?\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_LINE = re.compile(r"[^\n]*(?:\n|\Z)")
_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str, *, source: str = ".env") -> tuple[dict[str, str], list[str]]:
    """The values of a `.env` file, and a line for each fault: never with what stands there, which may be a secret."""
    values: dict[str, str] = {}
    faults: list[str] = []
    at, number = 0, 1
    while at < len(text):
        if found := _BLANK.match(text, at):
            end = found.end()
        elif found := _ENTRY.match(text, at):
            values[found["name"]] = _value(found)
            end = found.end()
        else:
            faults.append(_fault(text, at, f"{source} line {number}"))
            rest = _LINE.match(text, at)
            end = rest.end() if rest else len(text)
        number += text.count("\n", at, end)
        at = end
    return values, faults


def _value(entry: re.Match[str]) -> str:
    if entry["double"] is not None:
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), entry["double"])
    return entry["single"] if entry["single"] is not None else (entry["plain"] or "")


def _fault(text: str, at: int, place: str) -> str:
    if named := _NAME.match(text, at):
        return f"{named[1]}: the quotes of its value in {place} don't match"
    return f"{place}: expected NAME=value"
