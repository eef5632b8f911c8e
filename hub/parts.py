"""What a role consists of: named tasks that run until cancelled."""

from collections.abc import Callable, Coroutine
from typing import Any

Part = tuple[str, Callable[[], Coroutine[Any, Any, None]]]
"""A task's name, and what it runs until cancelled."""
