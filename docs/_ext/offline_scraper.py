"""Pictures of examples, without matplotlib's link to a style sheet on the network."""

import re
from typing import Any

from sphinx_gallery.scrapers import matplotlib_scraper


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Show the figures of a block; the theme has the icons of an animation's buttons."""
    rst: str = matplotlib_scraper(block, block_vars, gallery_conf)
    return re.sub(r"<link\b[^>]*>", "", rst)
