"""How the documentation is built. `make docs` runs it; it asks nothing of the network."""

import doctest
import os
import sys
from pathlib import Path

import matplotlib as mpl

import labelnext

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
mpl.use("agg")
# Examples run in their short form, and ask no server for weights.
os.environ.setdefault("LABELNEXT_EXAMPLES", "docs")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

project = "labelnext"
author = "The labelnext developers"
copyright = author  # noqa: A001 - the name is Sphinx's
version = release = labelnext.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx_gallery.gen_gallery",
    "markdown_pages",
    "offline_math",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"

# A role, or a name of labelnext in backticks, must lead somewhere. Names of parameters and of other
# packages in backticks are code.
nitpicky = True
nitpick_ignore_regex = [("py:obj", r"(?!labelnext\.).*")]

# API reference: a page for each name, made of its docstring.
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False  # the class template lists methods, without inherited ones
maximum_signature_line_length = 88

# Only marked snippets: pytest runs those of the docstrings.
doctest_test_doctest_blocks = ""
doctest_default_flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
doctest_global_setup = "import warnings; warnings.simplefilter('error')"
trim_doctest_flags = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "abort_on_example_error": True,
    "matplotlib_animations": (True, "jshtml"),
    "image_scrapers": ("offline_scraper.scrape",),
    "reset_modules": ("matplotlib", "seaborn", "strict_examples.reset"),
    "reset_modules_order": "both",
    "download_all_examples": False,
    "min_reported_time": 1e9,  # how long it took is of this machine
    "show_signature": False,
    "write_computation_times": False,
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "labelnext"
html_static_path = ["_static"]
html_css_files = ["labelnext.css"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {  # pages without others beside them
    "index": [],
    "gallery/*": [],
    "start": [],
    "skactiveml": [],
    "performance": [],
    "contributing": [],
    "stability": [],
    "changelog": [],
}
html_theme_options = {
    "logo": {"image_light": "_static/logo.svg", "image_dark": "_static/logo.svg", "text": project},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_persistent": [],
    "navbar_end": ["search-button", "theme-switcher"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
