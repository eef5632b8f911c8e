"""Folders for what only their owner may read: secrets, the database, letters."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make the folder, and what is missing above it, with mode 0700; one that is there keeps the mode it has. Blocks.

    Raises OSError.
    """
    if folder.is_dir():
        return
    make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
