"""Brings files of the checkout that lie outside of `docs/` into the site, where pages link to them.

In the checkout a page links to `../deploy/nginx.conf`, which works on any code host too. The site has the same tree,
with `docs/` as its root. MkDocs calls the two functions at the end.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

BROUGHT = ("CHANGELOG.md", "clients/js/README.md", "hub/dashboard/assets/icon.svg")
"""What the nav and the theme name. All else is brought because a page links to it."""

_LINK = re.compile(r"^```.*?^```|(?<=\]\()(?!\w+:|#|/)([^)#\s]+)", re.DOTALL | re.MULTILINE)
"""A block of code, which is left as it is, or where a link within the checkout leads."""


def _in_checkout(file: File) -> str:
    return file.src_uri if file.generated_by else f"docs/{file.src_uri}"


def _target(link: str, page: File) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(_in_checkout(page)), link))


def _linked_outside(page: File) -> Iterator[str]:
    """The files beside `docs/` that a page links to, those that there are."""
    for found in _LINK.finditer(page.content_string):
        target = _target(found[1], page) if found[1] else "docs/"
        if not target.startswith(("docs/", "../")) and (ROOT / target).is_file():
            yield target


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds what is brought under its name in the checkout."""
    names = {name for name in BROUGHT if (ROOT / name).is_file()}
    names.update(name for page in files.documentation_pages() for name in _linked_outside(page))
    for name in sorted(names):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links that cross the edge of `docs/` to where the site has them."""

    def led(link: re.Match[str]) -> str:
        if link[1] is None:
            return link[0]
        target = _target(link[1], page.file).removeprefix("docs/")
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(led, markdown)
