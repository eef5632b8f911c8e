"""A tree's text reads as the same tree."""

from hypothesis import given

from notifiers.conditions.canonical import canonical
from notifiers.conditions.faults import json_places
from notifiers.conditions.parser import parse
from notifiers.conditions.text import duration, expression_text, number, text
from notifiers.conditions.tree import Arithmetic, Condition, Field, Number, decode, encode
from tests.notifiers.conditions.trees import READER, conditions


@given(conditions())
def test_the_text_reads_as_the_same_tree(tree: Condition) -> None:
    assert parse(text(tree), READER) == tree


@given(conditions())
def test_a_canonical_tree_stays_as_it_is_also_as_json(tree: Condition) -> None:
    assert canonical(tree, json_places(tree), READER) == tree
    assert decode(encode(tree)) == tree


def test_numbers_are_written_in_full() -> None:
    assert [number(one) for one in (2500.0, 2500.5, 1e12, 1e-7, -3.0, 0.0)] == [
        "2500", "2500.5", "1000000000000", "0.0000001", "-3", "0",
    ]  # fmt: skip


def test_lengths_of_time_are_written_in_the_largest_unit_that_is_whole() -> None:
    assert [duration(one) for one in (1, 59, 60, 90, 600, 3600, 5400, 86_400)] == [
        "1s", "59s", "1m", "90s", "10m", "1h", "90m", "24h",
    ]  # fmt: skip


def test_brackets_stand_where_an_expression_would_be_another_without() -> None:
    price, two, three = Field(name="price"), Number(value=2.0), Number(value=3.0)
    taken = Arithmetic(op="-", left=price, right=Arithmetic(op="-", left=Field(name="bid"), right=two))
    assert expression_text(taken) == "price - (bid - 2)"
    assert expression_text(Arithmetic(op="-", left=taken.right, right=three)) == "bid - 2 - 3"
    assert expression_text(Arithmetic(op="*", left=taken.right, right=three)) == "(bid - 2) * 3"
