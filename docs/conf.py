"""The documentation site: `make docs` builds it into docs/_build/html; a warning is an error."""

import re
import sys
from pathlib import Path

import fwsim

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "fwsim"
author = "the fwsim developers"
version = release = fwsim.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # pages show equations without network
    "sphinx_gallery.gen_gallery",
    "executed_code",
    "rule_equations",
]
exclude_patterns = ["_build", "extensions", "gallery"]
linkcheck_anchors = False  # many sites make theirs in the browser
linkcheck_timeout, linkcheck_retries = 20, 2
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

default_role = "literal"  # docstrings write `code` in single backquotes
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
autosummary_generate = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": ("matplotlib", "house_style.use"),
    "image_srcset": ["2x"],
    "thumbnail_size": (600, 420),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
}

html_theme = "furo"
html_title = "fwsim"
html_show_sphinx = html_copy_source = html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["fwsim.css"]
html_js_files = ["fwsim.js"]

PAGES = {"benchmarks/README.md": "benchmarks", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
LINK = re.compile(rf"\]\((?:\.\./)*({'|'.join(map(re.escape, PAGES))})")
FILE = re.compile(r"(?<!\[)`([\w.-]+\.(?:csv|json|png|gif))`(?!\])")


def link_pages(app, docname, source):
    """Files of the repository that are pages here are linked as pages."""
    source[0] = LINK.sub(lambda found: f"](/{PAGES[found[1]]}.md", source[0])


def link_files(app, docname, source):
    """On pages of results, names of tables and other files in their folder are links to them."""
    if docname.startswith("results/"):
        folder = Path(app.srcdir, "results")

        def linked(name):
            there = (folder / name[1]).is_file()
            return f"[`{name[1]}`]({name[1]})" if there else name[0]

        source[0] = FILE.sub(linked, source[0])


def escape_bars(app, what, name, obj, options, lines):
    """In docstrings |x| is a norm, no substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app):
    """Tell Sphinx."""
    app.connect("source-read", link_pages)
    app.connect("source-read", link_files)
    app.connect("autodoc-process-docstring", escape_bars)
