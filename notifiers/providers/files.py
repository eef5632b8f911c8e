"""Where letters and texts go that are not sent: into files, for a machine without a mail server or a contract."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from schemas.errors import Unavailable
from schemas.private_folders import make_private


class Outbox:
    """A folder of what would have been sent: `<time>-<kind>-<id>.<ending>`, readable by its owner alone."""

    def __init__(self, folder: Path, *, wall: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._wall = wall

    def keep(self, kind: str, letter_id: str, ending: str, content: bytes) -> Path:
        """Write one file, whole or not at all. Blocks. Raises Unavailable where the folder can't be written."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall()))
        path = self.folder / f"{stamp}-{kind}-{letter_id}.{ending}"
        half = path.with_suffix(f".{ending}.part")
        try:
            make_private(self.folder)
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            half.replace(path)
        except OSError as exc:
            raise Unavailable("the outbox", type(exc).__name__) from exc
        return path

    def find(self, kind: str, letter_id: str, ending: str) -> str | None:
        """The name of such a file that was kept, the newest; None if there is none. Blocks."""
        names = sorted(path.name for path in self.folder.glob(f"*-{kind}-{letter_id}.{ending}"))
        return names[-1] if names else None
