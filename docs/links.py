"""Check the links within the built site: every page, file and anchor that a page links to exists.

    python docs/links.py docs/_build/html

`make docs` does this; `make links` also asks other sites, which needs a network. Prints each broken link with its page.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src", "iframe": "src"}


@dataclass
class Page(HTMLParser):
    """Links and anchors of a page."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to, and the names that others can link to."""
        values = dict(attrs)
        self.anchors |= {name for key in ("id", "name") if (name := values.get(key))}
        if tag in LINKS and (link := values.get(LINKS[tag])):
            self.links.append(link)


def read(path: Path) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def broken(site: Path) -> list[str]:
    """Links of all pages of a folder that lead nowhere, as lines of text."""
    site = site.resolve()
    pages = {path: read(path) for path in sorted(site.rglob("*.html"))}
    return [
        f"{path.relative_to(site)}: {link} ({reason})"
        for path, page in pages.items()
        for link in dict.fromkeys(page.links)
        if (reason := fault(site, pages, path, link))
    ]


def fault(site: Path, pages: dict[Path, Page], path: Path, link: str) -> str:
    """What is wrong with a link of a page; nothing for links to other sites."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = path
    if parts.path:
        start = site if parts.path.startswith("/") else path.parent
        target = (start / unquote(parts.path).lstrip("/")).resolve()
        target = target / "index.html" if target.is_dir() else target
    if not target.is_relative_to(site):
        return "outside of the site"
    if not target.is_file():
        return "no such file"
    anchor = unquote(parts.fragment)
    known = pages.get(target)
    if not anchor or anchor == "top" or known is None or anchor in known.anchors:
        return ""
    return "no such anchor"


def main() -> int:
    """Print broken links, and say so to the shell."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    found = broken(Path(sys.argv[1]))
    print("\n".join(found), file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
