import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dotenv import parse_dotenv


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  A = 1  \n", {"A": "1"}),
        ("export A=1\n", {"A": "1"}),
        ("# A=1\n\n   \n\t# more\nB=2", {"B": "2"}),
        ("A=\nB=2\n", {"A": "", "B": "2"}),
        ("A= # nothing\n", {"A": ""}),
        ("A=one two # comment\n", {"A": "one two"}),
        ("A=one#two\n", {"A": "one#two"}),
        ("A=redis://:p#w@h/0?x=1\n", {"A": "redis://:p#w@h/0?x=1"}),
        ("A='one # \\n $two'  # comment\n", {"A": "one # \\n $two"}),
        ('A="one # \\n\\t\\"two\\" \\\\ \\$x \\q"\n', {"A": 'one # \n\t"two" \\ $x \\q'}),
        ("A='one\ntwo'\nB=3\n", {"A": "one\ntwo", "B": "3"}),
        ('A="one\ntwo"\nB=3\n', {"A": "one\ntwo", "B": "3"}),
        ("A=it's\n", {"A": "it's"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=$HOME/${B}\n", {"A": "$HOME/${B}"}),
        ("A=''\nB=\"\"\n", {"A": "", "B": ""}),
    ],
)
def test_reads_what_shells_and_other_tools_write(text: str, values: dict[str, str]) -> None:
    assert parse_dotenv(text) == (values, [])


@pytest.mark.parametrize(
    ("text", "values", "faults"),
    [
        ("A=1\nhunter2\nB=2\n", {"A": "1", "B": "2"}, [".env line 2: expected NAME=value"]),
        ("1A=hunter2\n", {}, [".env line 1: expected NAME=value"]),
        ("A-B=hunter2\n", {}, [".env line 1: expected NAME=value"]),
        ("A='x\ny'\n=hunter2", {"A": "x\ny"}, [".env line 3: expected NAME=value"]),
        ("A='hunter2\nB=2\n", {"B": "2"}, ["A: the quotes of its value in .env line 1 don't match"]),
        ('A="hunter2" hunter3\n', {}, ["A: the quotes of its value in .env line 1 don't match"]),
    ],
)
def test_tells_a_fault_by_its_line_and_never_by_its_value(text: str, values: dict[str, str], faults: list[str]) -> None:
    assert parse_dotenv(text) == (values, faults)


@given(st.text())
def test_takes_any_text(text: str) -> None:
    parse_dotenv(text)


@given(st.text("A=' \"\\\n#x"))
def test_takes_any_mixture_of_what_is_special(text: str) -> None:
    values, faults = parse_dotenv(text)
    assert values or faults or not any(line.strip() and not line.strip().startswith("#") for line in text.split("\n"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="'\r")))
def test_single_quotes_hold_anything_else(value: str) -> None:
    assert parse_dotenv(f"A='{value}'\nB=1") == ({"A": value, "B": "1"}, [])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r")))
def test_double_quotes_hold_anything_escaped(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_dotenv(f'A="{escaped}"\nB=1') == ({"A": value, "B": "1"}, [])


def test_a_long_unfinished_value_costs_no_more_than_its_length() -> None:
    started = time.perf_counter()
    parse_dotenv("A=" + " x" * 20_000 + '\nB="' + "\\n" * 20_000)
    assert time.perf_counter() - started < 2
