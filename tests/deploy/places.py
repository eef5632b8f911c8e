"""Where the examples of `deploy/` are, and the programs that judge them where this machine has them."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GUIDES = ROOT / "docs" / "guides"

_ALSO = ("/usr/sbin", "/sbin")
"""Where system programs are that a user's PATH may not have."""


def program(name: str) -> str | None:
    """The path of a program, if this machine has it."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_ALSO]))
