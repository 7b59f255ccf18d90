"""Links within the site: what `make docs` checks, and that it would find what is broken."""

from pathlib import Path

import pytest

from fwsim.study import files

ROOT = Path(__file__).parents[1]
module = files.load(ROOT / "docs" / "links.py", ("broken", "main"))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "guide").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="guide/one.html#part">1</a> <a href="guide/">2</a> <a href="#here">3</a> <p id="here"></p>'
        '<img src="a%20b.png"> <a href="https://example.org/none">4</a> <a href="mailto:a@example.org">5</a>'
    )
    (tmp_path / "guide" / "one.html").write_text('<h2 id="part"></h2><a href="../index.html#top">back</a>')
    (tmp_path / "guide" / "index.html").write_text('<a href="/index.html">home</a>')
    (tmp_path / "a b.png").touch()
    return tmp_path


def test_a_whole_site_has_no_broken_links(site):
    assert module.broken(site) == []


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("two.html", "no such file"),
        ("../guide/one.html#parts", "no such anchor"),
        ("#nowhere", "no such anchor"),
        ("/guide/none.html", "no such file"),
        ("../../beside.md", "outside of the site"),
    ],
)
def test_broken_links_are_named_with_their_page(site, link, reason):
    (site / "guide" / "two.htm").touch()
    (site.parent / "beside.md").touch()
    (site / "guide" / "bad.html").write_text(f'<a href="{link}">x</a>')
    assert module.broken(site) == [f"guide/bad.html: {link} ({reason})"]
