"""The bytes of a master file as lines: unpacked, checked for what a failing server sends, and read bit by bit.

Reading goes on in a thread beside the event loop, so nothing here keeps the interpreter to itself for long: what is
compressed is unpacked by one call that lets others run, all else goes line by line.
"""

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping

from feeds.errors import BadFile

MAX_BYTES = 512 * 1024 * 1024
"""No master is a fifth as large when unpacked."""

Line = Mapping[str, object]
"""One instrument in the vendor's own words."""

_GZIP = b"\x1f\x8b"
_ZIP = b"PK"
_GZIP_WINDOW = 31


def unpacked(name: str, data: bytes, *, wanted: str = "a list of instruments") -> bytes:
    """The file itself: out of gzip or a zip, or as it is. Raises BadFile for a web page, an empty or a broken one."""
    if data.startswith(_GZIP):
        data = _out_of_gzip(name, data)
    elif data.startswith(_ZIP):
        data = _out_of_zip(name, data)
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise BadFile(f"{name} is empty")
    if start.startswith(b"<"):
        raise BadFile(f"{name} is a web page, not {wanted}")
    return data


def _out_of_gzip(name: str, data: bytes) -> bytes:
    unzip = zlib.decompressobj(_GZIP_WINDOW)
    try:
        out = unzip.decompress(data, MAX_BYTES)
    except zlib.error as exc:
        raise BadFile(f"{name} is damaged: {exc}") from exc
    if not unzip.eof:
        raise BadFile(f"{name} is {'too large' if len(out) >= MAX_BYTES else 'cut off'}")
    return out


def _out_of_zip(name: str, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise BadFile(f"{name} holds {len(members)} files instead of one")
            if members[0].file_size > MAX_BYTES:
                raise BadFile(f"{name} is too large")
            return archive.read(members[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as exc:
        raise BadFile(f"{name} is damaged: {exc}") from exc


def csv_lines(name: str, data: bytes, needed: tuple[str, ...]) -> Iterator[Line]:
    """The lines of a CSV file with a header. Raises BadFile where a needed column is missing."""
    rows = headless_lines(name, data)
    header = [column.strip() for column in next(rows, [])]
    missing = [column for column in needed if column not in header]
    if missing:
        raise BadFile(f"{name} has no column {', '.join(missing)}")
    for row in rows:
        # A line that is cut off lacks its last columns; what wants them finds that the line is bad.
        yield dict(zip(header, row, strict=False))


def headless_lines(name: str, data: bytes) -> Iterator[list[str]]:
    """The lines of a CSV file; empty ones are left out. Raises BadFile for what is no text."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    try:
        yield from (row for row in csv.reader(text) if row)
    except (csv.Error, UnicodeDecodeError) as exc:
        raise BadFile(f"{name} is no CSV file: {exc}") from exc


def json_lines(name: str, data: bytes, needed: tuple[str, ...]) -> Iterator[Line]:
    """The objects of a JSON array, one by one. Raises BadFile for anything else, or if the first lacks a field."""
    text = _text(name, data)
    decode = json.JSONDecoder().raw_decode
    at, count = _past(text, 0, "["), 0
    if at is None:
        raise BadFile(f"{name} is no list")
    while text[at : at + 1] != "]":
        try:
            line, end = decode(text, at)
        except (ValueError, RecursionError) as exc:
            raise BadFile(f"{name} is cut off or damaged after {count} instruments") from exc
        if not isinstance(line, dict):
            raise BadFile(f"{name} is no list of objects")
        if not count and (missing := [field for field in needed if field not in line]):
            raise BadFile(f"{name} has no field {', '.join(missing)}")
        yield line
        count += 1
        comma = _past(text, end, ",")
        at = _skip_space(text, end) if comma is None else comma


def json_names(name: str, data: bytes) -> dict[str, str]:
    """A small JSON object of texts. Raises BadFile for anything else."""
    try:
        found = json.loads(_text(name, data))
    except (ValueError, RecursionError) as exc:
        raise BadFile(f"{name} is no JSON") from exc
    if not isinstance(found, dict):
        raise BadFile(f"{name} is no table of names")
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadFile(f"{name} is no text") from exc


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _past(text: str, at: int, sign: str) -> int | None:
    """Where the next value begins after a sign; None where the sign is not next."""
    at = _skip_space(text, at)
    return _skip_space(text, at + 1) if text[at : at + 1] == sign else None
