"""Writes `.env.example`, `docs/settings.md` and the README's table out of the settings' own definition.

`python -m hub.settings_table` (or `make settings`) in the root of the checkout.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from schemas.settings import SETTINGS, Setting

BEGIN = "<!-- settings: written by `make settings` -->"
END = "<!-- end of settings -->"

ENV_HEAD = """\
# Copy to .env and change what should differ. The process environment wins over this file; a value that is
# empty counts as not set. Written by `make settings`.
"""

PAGE_HEAD = """\
# Settings

Environment variables; in development also `NAME=value` lines in `.env`, over which the environment wins. An empty
value counts as not set. Durations are written `250ms`, `30s`, `15m`, `1h` or `7d`. Wrong settings are all told at
once, and the process ends with 78; a name that is one or two letters off is told too. Written by `make settings`.

Each feed's own credentials are described with the feed.
"""


def _groups() -> Iterator[tuple[str, list[Setting]]]:
    for group, settings in groupby(SETTINGS, key=lambda setting: setting.group):
        yield group, list(settings)


def env_example() -> str:
    """The text of `.env.example`: every setting with its default, in effect the same as no file at all."""
    blocks = [ENV_HEAD]
    for group, settings in _groups():
        lines = [f"## {group}\n"]
        for setting in settings:
            comment = f"{setting.description} ({setting.kind.words})".replace("`", "")
            lines += [*(f"# {line}" for line in wrap(comment, 110)), f"{setting.name}={setting.default}"]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def table() -> str:
    """All settings as one Markdown table."""
    lines = ["| variable | default | means |", "|---|---|---|"]
    lines += [f"| `{setting.name}` | {_default(setting)} | {setting.description} |" for setting in SETTINGS]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The text of `docs/settings.md`: a table for each group, with what a value may be."""
    blocks = [PAGE_HEAD]
    for group, settings in _groups():
        lines = [f"## {group}\n", "| variable | value | default | means |", "|---|---|---|---|"]
        lines += [
            f"| `{setting.name}` | {setting.kind.words} | {_default(setting)} | {setting.description} |"
            for setting in settings
        ]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _default(setting: Setting) -> str:
    return f"`{setting.default}`" if setting.default else ""


def with_table(text: str) -> str:
    """`text` with the table between its two marks. Raises ValueError where a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def main(root: Path) -> None:
    """Write the three files of the checkout in `root`."""
    (root / ".env.example").write_text(env_example(), encoding="utf-8")
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "settings.md").write_text(page(), encoding="utf-8")
    readme = root / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path.cwd())
