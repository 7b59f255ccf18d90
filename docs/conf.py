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
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
}

html_theme = "furo"
html_title = "fwsim"
html_show_sphinx = html_copy_source = False

PAGES = {"benchmarks/README.md": "benchmarks", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
LINK = re.compile(rf"\]\((?:\.\./)*({'|'.join(map(re.escape, PAGES))})")


def link_pages(app, docname, source):
    """Files of the repository that are pages here are linked as pages."""
    source[0] = LINK.sub(lambda found: f"](/{PAGES[found[1]]}.md", source[0])


def show_figures(app, docname, source):
    """Pages of results name their figures; the site shows them."""
    if not docname.startswith("results/"):
        return
    page = Path(app.srcdir, docname)
    figures = sorted(path for kind in ("png", "gif") for path in page.parent.glob(f"{page.name}*.{kind}"))
    shown = [f"`{path.name}`\n\n![]({path.name})" for path in figures if f"]({path.name})" not in source[0]]
    if shown:
        source[0] += "\n\n## Figures\n\n" + "\n\n".join(shown)


def escape_bars(app, what, name, obj, options, lines):
    """In docstrings |x| is a norm, no substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app):
    """Tell Sphinx."""
    app.connect("source-read", link_pages)
    app.connect("source-read", show_figures)
    app.connect("autodoc-process-docstring", escape_bars)
