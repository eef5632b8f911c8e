"""What commands say to whoever typed them, in colours and signs that the terminal there has."""

import io
import os
import sys

from rich.console import Console
from rich.text import Text


class NobodyReads(Exception):
    """Whoever read stdout, such as `head`, has gone; no OSError, as nothing that we talk to has failed."""


def prepare() -> None:
    """Let no character that stdout's encoding lacks end a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def say(line: str | Text = "") -> None:
    """One line on stdout, as long as it is. Raises NobodyReads."""
    console = Console(soft_wrap=True, highlight=False)
    try:
        if isinstance(line, Text) and console.is_terminal:
            console.print(line)
        else:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise NobodyReads from None


def complain(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def leave_quietly() -> None:
    """Nobody reads stdout any more: let what is still to be flushed there go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def shows(signs: str) -> bool:
    """Whether stdout's encoding has these characters."""
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """Foreign text as one line that can't command the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
