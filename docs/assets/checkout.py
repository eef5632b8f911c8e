"""Brings files of the checkout that lie outside of `docs/` into the site, where pages link to them.

In the checkout a page links to `../deploy/nginx.conf`, which works on any code host too. The site has the same tree,
with `docs/` as its root. MkDocs calls the two functions at the end.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

BROUGHT = ("CHANGELOG.md", "clients/js/README.md", "deploy/**/*", "hub/dashboard/assets/icon.svg")
"""Patterns of what is brought; pages among them stand in the nav."""

_LINK = re.compile(r"^```.*?^```|(?<=\]\()(?!\w+:|#|/)([^)#\s]+)", re.DOTALL | re.MULTILINE)
"""A block of code, which is left as it is, or where a link within the checkout leads."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds what is brought under its name in the checkout."""
    for path in (path for pattern in BROUGHT for path in sorted(ROOT.glob(pattern)) if path.is_file()):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links that cross the edge of `docs/` to where the site has them."""
    here = page.file.src_uri
    place = posixpath.dirname(here if files.get_file_from_path(here).generated_by else f"docs/{here}")

    def led(link: re.Match[str]) -> str:
        if link[1] is None:
            return link[0]
        target = posixpath.normpath(posixpath.join(place, link[1]))
        return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(here) or ".")

    return _LINK.sub(led, markdown)
