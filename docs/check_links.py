"""See that every link inside the built documentation leads somewhere; asks nothing of the network.

python docs/check_links.py docs/_build/html
"""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places in it that a link may lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.places |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        self.links += [attrs[key] for key in ("href", "src") if attrs.get(key)]


@cache
def page(path):
    return Page(path)


def pages(root):
    """The pages that were written: `_static` holds templates of the theme."""
    return sorted(path for path in root.rglob("*.html") if "_static" not in path.parts)


def broken(root):
    """Yield page and link of each that leads nowhere."""
    for path in pages(root):
        for link in page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            folder = root if parts.path.startswith("/") else path.parent
            target = folder / unquote(parts.path).lstrip("/") if parts.path else path
            there = target.exists()
            if there and target.suffix == ".html":
                there = unquote(parts.fragment) in page(target).places
            if not there:
                yield path, link


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    found = [f"{path.relative_to(root)}: {link}" for path, link in broken(root)]
    print("\n".join(found) or f"{len(pages(root))} pages, no broken link inside them")
    sys.exit(bool(found))
