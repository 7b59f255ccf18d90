"""The code of the guide runs; `make docs` runs all of it, and shows what it says."""

import importlib
import re
import sys
from functools import cache
from pathlib import Path

import pytest

import fwsim as fw

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS / "extensions"))

from executed_code import BlockError, executed  # noqa: E402

PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for folder in ("guide", "science")
    for path in (DOCS / folder).glob("*.md")
)
QUICK = ("guide/own_experiment.md", "guide/recordings.md")


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=() if page in QUICK else pytest.mark.slow) for page in PAGES]
)
def test_a_page_runs(page, tmp_path):
    shown = executed((DOCS / page).read_text(), page, tmp_path)
    assert page.startswith("guide/cluster") or "```" in shown


def test_what_a_block_shows_stands_below_it(tmp_path):
    page = """
```python
# files/number.py
x = 3
```

```python
import re
import sys
sys.path.insert(0, "files")
import number
print(number.x + 1)
```

```python
from fwsim.study import figure
made, axes = figure()
made
```

```console
$ cat files/number.py
$ fwsim --version
```
"""
    shown = executed(page, "a/page", tmp_path)
    assert "```text\n4\n```" in shown
    assert f"![]({tmp_path.as_posix()}/a-page-3.svg)" in shown
    assert "$ cat files/number.py\nx = 3\n$ fwsim --version\n0." in shown


@pytest.mark.parametrize(
    "block", ["```python\n1 / 0\n```", "```console\n$ fwsim run nothing\n```", "```console\n$ false\n```"]
)
def test_a_block_that_fails_is_named(block, tmp_path):
    with pytest.raises(BlockError, match="block 1 of page"):
        executed(block, "page", tmp_path)


def test_every_public_module_is_in_the_reference():
    package = DOCS.parent / "fwsim"
    modules = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    pages = "\n".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"automodule:: fwsim\.(\w+)", pages))
    internal = {
        "_allocator",
        "actor_critic",
        "arrays",
        "logs",
        "names",
        "paths",
        "requirements",
        "seeds",
        "tables",
    }
    assert modules - shown == {"__init__", "cli", "notebook", *internal}


RESULTS = sorted((DOCS / "results").glob("*.md"))


@pytest.mark.parametrize("page", RESULTS, ids=lambda path: path.stem)
def test_a_page_of_results_has_the_common_form(page):
    text = page.read_text()
    listed = re.findall(r"^results/(\w+)$", (DOCS / "measured.md").read_text(), re.M)
    assert listed.count(page.stem) == 1
    question, answer = text.find("\n**Question.** "), text.find("\n**Answer.** ")
    assert 0 < question < answer
    assert "\n|" not in text[:answer]
    for figure in page.parent.glob(f"{page.stem}*.png"):
        if f"({figure.name})" in text:
            assert re.search(rf"!\[[^\]]+\]\({figure.name}\)\n\n\*[^*]+\*\n", text)


def test_every_figure_of_the_results_is_on_a_page():
    pages = "".join(page.read_text() for page in RESULTS)
    assert [path.name for path in (DOCS / "results").glob("*.png") if f"({path.name})" not in pages] == []


TEXTS = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md")]


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.relative_to(DOCS.parent).as_posix())
def test_the_names_on_a_page_exist(page):
    for name in set(re.findall(r"`(?:fw|fwsim)\.([a-z]\w*(?:\.\w+)*)\b(?!\.?/)", page.read_text())):
        if name.endswith((".toml", ".mplstyle")):
            continue
        found = fw
        for part in name.split("."):
            if not hasattr(found, part):
                importlib.import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


def test_the_files_that_the_page_for_contributors_names_exist():
    root = DOCS.parent
    examples = {"experiments/delay.py", "analysis/delay.py", "fwsim/rules/residual_calcium.py"}
    named = set(re.findall(r"`([\w./]+(?:\.\w+|/))`", (root / "CONTRIBUTING.md").read_text()))
    files = {name for name in named if re.search(r"\.(py|pyi|hpp|md|toml)$|/$", name)} - examples
    assert len(files) > 60
    for name in files:
        assert any(path.as_posix().endswith(f"/{name.strip('/')}") for path in _everything(root)), name


@cache
def _everything(root):
    """Files and folders of the repository."""
    folders = [
        folder
        for folder in root.iterdir()
        if folder.is_dir() and folder.name[0] != "." and folder.name != "data"
    ]
    return [*root.iterdir(), *folders, *(path for folder in folders for path in folder.rglob("*"))]
