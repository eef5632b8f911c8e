"""What is wrong with a condition, and where: at a character of its text, or at a path of its JSON."""

from collections.abc import Iterable
from difflib import get_close_matches

from notifiers.conditions.tree import Node, children
from schemas.errors import CommandError, ErrorCode
from schemas.phrases import Phrase, translatable

Place = int | str
"""A character's number, from 1, or a path such as `$.terms[1].left`."""

_SHOWN = 40


def refused(fault: Phrase, place: Place) -> CommandError:
    """The refusal of a condition for what is wrong at a place of it."""
    if isinstance(place, int):
        return CommandError(ErrorCode.BAD_REQUEST, "{fault} - at character {column}", fault=fault, column=place)
    return CommandError(ErrorCode.BAD_REQUEST, "{fault} - at {place}", fault=fault, place=f"`{place}`")


def phrase_of(error: CommandError) -> Phrase:
    """What another reader refuses, to be told with a place."""
    values = {name: _value(one) for name, one in error.values.items()}
    return Phrase(error.text, values)


def _value(one: object) -> Phrase | str | int | float | None:
    return one if isinstance(one, Phrase | str | int | float | None) else str(one)


def shown(word: str) -> str:
    """A word of somebody's as an error repeats it."""
    return word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…"


def unknown(name: str, known: Iterable[str]) -> Phrase:
    """That there is no such figure, with those that are written much the same."""
    near = get_close_matches(name[:_SHOWN].lower(), sorted(known), n=3, cutoff=0.6)
    if not near:
        return Phrase("No figure or indicator is called {name!r}", {"name": shown(name)})
    text = translatable("No figure or indicator is called {name!r}; did you mean {near}?")
    return Phrase(text, {"name": shown(name), "near": ", ".join(near)})


class Places:
    """Where each node of a tree was written. Nodes are known by identity: equal ones stand at several places."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Node, Place]] = {}  # holds the nodes, so that no id is given twice
        self._percentages: set[int] = set()

    def put(self, node: Node, place: Place, *, percentage: bool = False) -> None:
        """Remember a node's place, and that it is a number with `%` behind it."""
        self._of[id(node)] = (node, place)
        if percentage:
            self._percentages.add(id(node))

    def move(self, old: Node, new: Node) -> None:
        """A node stands for another one now."""
        self.put(new, self.of(old), percentage=self.is_percentage(old))

    def of(self, node: Node) -> Place:
        """A node's place; the root's where it is not known."""
        return self._of[id(node)][1] if id(node) in self._of else "$"

    def is_percentage(self, node: Node) -> bool:
        """Whether a constant was written with `%`."""
        return id(node) in self._percentages


_BELOW = {
    "arithmetic": ("left", "right"), "compare": ("left", "right"), "cross": ("left", "right"),
    "channel": ("value", "low", "high"), "move": ("value",), "step": ("value",), "not": ("term",), "hold": ("term",),
    "then": ("first", "second"),
}  # fmt: skip


def json_places(tree: Node) -> Places:
    """The paths of a tree that came as JSON."""
    places = Places()
    waiting: list[tuple[Node, str]] = [(tree, "$")]
    while waiting:
        node, path = waiting.pop()
        places.put(node, path)
        names = _BELOW.get(str(node.__struct_config__.tag))
        for number, child in enumerate(children(node)):
            waiting.append((child, f"{path}.{names[number]}" if names else f"{path}.terms[{number}]"))
    return places
