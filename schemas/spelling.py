"""How far apart two names are, so that a mistyped one can be told what it meant."""

from collections.abc import Iterable

_SHORT = 5


def distance(first: str, second: str) -> int:
    """How many letters to insert, delete, replace or swap with their neighbour (Damerau-Levenshtein, restricted).

    Costs time in proportion to the product of the two lengths.
    """
    before: list[int] = []
    last = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        here = [row]
        for column, other in enumerate(second, 1):
            cost = min(last[column] + 1, here[column - 1] + 1, last[column - 1] + (letter != other))
            swapped = row > 1 and column > 1 and letter == second[column - 2] and first[row - 2] == other
            here.append(min(cost, before[column - 2] + 1) if swapped else cost)
        before, last = last, here
    return last[-1]


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` probably is a slip of, if there is one.

    Two slips are forgiven, one in names of up to five letters; those must also begin alike, as `SEED` is a word of
    its own and no `FEED`.
    """
    nearest: tuple[int, str] | None = None
    for candidate in known:
        short = min(len(candidate), len(name)) <= _SHORT
        allowed = 1 if short else 2
        if abs(len(candidate) - len(name)) > allowed or (short and candidate[:1] != name[:1]):
            continue
        slips = distance(name, candidate)
        if slips <= allowed and (nearest is None or slips < nearest[0]):
            nearest = (slips, candidate)
    return nearest[1] if nearest else None
