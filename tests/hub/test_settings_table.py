"""What is written about the settings is what their definition says; `make settings` writes it anew."""

from pathlib import Path

import pytest

from hub.settings_table import BEGIN, END, env_example, main, page, table, with_table
from schemas.settings import SETTINGS, load

ROOT = Path(__file__).parents[2]
STALE = "run `make settings`"


def test_the_example_file_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), STALE


def test_the_page_is_what_the_settings_say() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page(), STALE


def test_the_readme_s_table_is_what_the_settings_say() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(readme) == readme, STALE


def test_the_example_file_changes_nothing(tmp_path: Path) -> None:
    """Whoever copies it has what an empty environment has."""
    copy = tmp_path / ".env"
    copy.write_text(env_example(), encoding="utf-8")
    assert load({}, copy) == load({})


@pytest.mark.parametrize("render", [env_example, page, table])
def test_every_setting_stands_everywhere_once(render: object) -> None:
    text = render()  # type: ignore[operator]
    for setting in SETTINGS:
        assert text.count(f"\n{setting.name}=") + text.count(f"\n| `{setting.name}` |") == 1


def test_every_row_has_the_cells_of_its_head() -> None:
    for text, cells in ((table(), 3), (page(), 4)):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} == {cells + 1}


def test_the_table_goes_between_its_marks_and_nowhere_else() -> None:
    text = with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert text == f"before\n{BEGIN}\n{table()}{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_missing_mark_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="expected the marks"):
        with_table(text)


def test_writes_all_three(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"{BEGIN}{END}", encoding="utf-8")
    main(tmp_path)
    assert (tmp_path / ".env.example").read_text(encoding="utf-8") == env_example()
    assert (tmp_path / "docs" / "settings.md").read_text(encoding="utf-8") == page()
    assert table() in (tmp_path / "README.md").read_text(encoding="utf-8")
