"""The documents as a site: built as `make docs` builds them, with every link checked, and nothing from another host."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc="?([^"\s>]+)|<link\b[^>]*?\bhref="?([^"\s>]+)"""
)
"""What a page has a browser fetch by itself; links that people follow are not among it."""
FETCHED = re.compile(r"""(?:@import\s+|url\()["']?(?!data:)([^"')\s;]+)""")


def build(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """What `make docs` types, in the root of a checkout. With `--quiet` no warning would be an error."""
    return subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build", "--strict", "--site-dir", folder],
        check=False,
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A link or an anchor that leads nowhere, or a page that is missing in the nav, fails here."""
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def fetched(site: Path) -> Iterator[tuple[str, str]]:
    """Each file and what it has a browser fetch."""
    for path in site.rglob("*"):
        if path.suffix not in {".html", ".css"}:
            continue
        for found in (LOADED if path.suffix == ".html" else FETCHED).finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(site).as_posix(), next(filter(None, found.groups()))


def test_every_page_is_built(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    built = {path.parent.relative_to(site).as_posix() for path in site.rglob("index.html")}
    assert pages - {"index"} <= built
    assert "CHANGELOG" in built


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    found = list(fetched(site))
    assert ("index.html", "assets/style.css") in found
    assert [(file, address) for file, address in found if re.match(r"(\w+:)?//", address)] == []


def test_what_is_fetched_is_there(site: Path) -> None:
    for file, address in fetched(site):
        if file != "404.html":  # which is served at any depth, so its addresses are absolute
            assert ((site / file).parent / re.split("[?#]", address)[0]).exists(), (file, address)


LINK = re.compile(r"""(?:\]\(|src(?:set)?=")(?!\w+:|#)([^)"#\s]+)#?([^)"\s]*)""")


@pytest.mark.parametrize(
    "link", sorted(set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))), ids="#".join
)
def test_the_readme_s_links_lead_somewhere(site: Path, link: tuple[str, str]) -> None:
    """It is no page of the site, so its build doesn't look at them."""
    path, anchor = link
    assert (ROOT / path).is_file()
    if anchor:
        page = (site / path.removeprefix("docs/")).with_suffix("") / "index.html"
        assert f'id="{anchor}"' in page.read_text(encoding="utf-8")


CHECKOUT = {
    "CHANGELOG.md": "[a page](docs/guides/one.md#here) [a file](deploy/hub.conf)\n",
    "deploy/hub.conf": "listen 80;\n",
    "docs/index.md": "[changes](../CHANGELOG.md) [a file](../deploy/hub.conf)\n\n```python\nx[0](guides)\n```\n",
    "docs/guides/one.md": "# Here\n\n[a file](../../deploy/hub.conf) [home](../index.md)\n",
    "mkdocs.yml": """
site_name: small
theme: {name: material, font: false}
plugins: []
exclude_docs: "*.py"
hooks: [docs/assets/checkout.py]
validation: {anchors: warn, unrecognized_links: warn}
""",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with the real hook, and links of all kinds over the edge of `docs/`."""
    for name, text in CHECKOUT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "docs" / "assets").mkdir()
    shutil.copy(ROOT / "docs" / "assets" / "checkout.py", tmp_path / "docs" / "assets")
    return tmp_path


def test_links_over_the_edge_of_docs_lead_to_the_same_files(checkout: Path, tmp_path: Path) -> None:
    built = build(checkout, tmp_path / "site")
    assert built.returncode == 0, built.stderr
    changes, one = (tmp_path / "site" / name / "index.html" for name in ("CHANGELOG", "guides/one"))
    assert '<a href="../guides/one/#here">' in changes.read_text(encoding="utf-8")
    assert '<a href="../deploy/hub.conf">' in changes.read_text(encoding="utf-8")
    assert '<a href="../../deploy/hub.conf">' in one.read_text(encoding="utf-8")
    assert (tmp_path / "site" / "deploy" / "hub.conf").read_text(encoding="utf-8") == "listen 80;\n"
    assert "x[0](guides)" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", ["nowhere.md", "../deploy/nothing.conf", "guides/one.md#nowhere"])
def test_a_link_that_leads_nowhere_is_an_error(checkout: Path, tmp_path: Path, link: str) -> None:
    (checkout / "docs" / "index.md").write_text(f"[a link]({link})\n", encoding="utf-8")
    assert build(checkout, tmp_path / "site").returncode == 1
