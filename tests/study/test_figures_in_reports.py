"""Figures in reports: what they show comes through, what acts or is fetched does not."""

import re

import pytest

from fwsim import study
from fwsim.errors import RecordingError
from fwsim.study import figures
from fwsim.study.report import contents, vector
from tests.study.test_report import Page

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
SAFE = re.compile(
    r"script|alert|evil|https?:(?!//www\.w3\.org/2000/svg)|javascript|onload|import|expression", re.I
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<svg:script xmlns:svg='http://www.w3.org/2000/svg'>alert(1)</svg:script>",
    "<g onload='alert(1)'/>",
    "<rect onclick='alert(1)' width='1'/>",
    "<foreignObject><p xmlns='http://www.w3.org/1999/xhtml' onclick='alert(1)'>evil</p></foreignObject>",
    "<a href='javascript:alert(1)'><text>evil</text></a>",
    "<a xlink:href='https://evil.example'><rect/></a>",
    "<image href='https://evil.example/x.png'/>",
    "<image xlink:href='file:///etc/evil'/>",
    "<image href='data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+'/>",
    "<image href='data:text/html,&lt;script&gt;alert(1)&lt;/script&gt;'/>",
    "<use href='https://evil.example/x.svg#a'/>",
    "<use xlink:href='data:image/svg+xml,evil#a'/>",
    "<animate attributeName='href' values='javascript:alert(1)'/>",
    "<set attributeName='onload' to='alert(1)'/>",
    "<rect style='fill: url(https://evil.example/#a)'/>",
    "<rect fill='url(https://evil.example/#a)'/>",
    "<rect style='fill: u\\72l(https://evil.example)'/>",
    "<rect style='behavior: url(#evil)'/>",
    "<rect style='width: expression(alert(1))'/>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<style>rect { fill: url(https://evil.example) } @font-face { src: url(//evil.example) }</style>",
    "<style>&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;</style>",
    "<style><![CDATA[</style><script>alert(1)</script>]]></style>",
    "<title><script>alert(1)</script></title>",
    "<desc>&lt;img src=x onerror=alert(1)&gt;</desc>",
    "<metadata><script>alert(1)</script></metadata>",
    "<iframe xmlns='http://www.w3.org/1999/xhtml' src='https://evil.example'/>",
    "<rect id='x\"&gt;&lt;script&gt;alert(1)&lt;/script&gt;'/>",
    "<rect transform='&quot;&gt;&lt;script&gt;alert(1)'/>",
    "<filter id='f'><feImage href='https://evil.example/x.png'/></filter>",
    "<!-- --><?xml-stylesheet href='https://evil.example/x.css'?><!-- <script>alert(1)</script> -->",
]


def shown(tmp_path, text):
    path = tmp_path / "figure.svg"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return vector.inline(path, "x-", "a figure")


@pytest.mark.parametrize("part", HOSTILE)
def test_what_acts_or_is_fetched_is_left_out(tmp_path, part):
    text = shown(tmp_path, f"{HEAD} width='10pt' onload='alert(1)'>{part}<path d='M 0 0 L 1 1'/></svg>")
    assert not SAFE.search(text)
    assert '<path d="M 0 0 L 1 1"></path></svg>' in text
    made = Page(text)
    assert made.open == []


def test_text_stays_text(tmp_path):
    text = shown(tmp_path, f"{HEAD}><text>&lt;script&gt; a &amp; b</text></svg>")
    assert "<text>&lt;script&gt; a &amp; b</text>" in text


def test_what_matplotlib_draws_comes_through(tmp_path):
    """All elements and attributes but metadata, and all references within the figure."""
    made, axes = study.figure()
    axes.imshow([[0, 1], [1, 0]])
    axes.plot([0, 1], [0, 1], "o-", color="C1", alpha=0.5, label="$x^2$")
    axes.fill_between([0, 1], [0, 1], hatch="//")
    axes.legend()
    path = figures.save_figure(made, tmp_path, "all")[-1]
    text = vector.inline(path, "x-", "all")
    source = re.sub(r"<metadata>.*?</metadata>", "", path.read_text(), flags=re.S)
    for element in ("path", "use", "g", "image", "clipPath", "pattern", "defs", "text", "rect"):
        assert len(re.findall(rf"<{element}\b", text)) == len(re.findall(rf"<{element}\b", source))
    for attribute in ("clip-path", "transform", "d", "style"):
        assert len(re.findall(rf'[\s"]{attribute}="', text)) >= len(re.findall(rf'\s{attribute}="', source))
    names = set(re.findall(r'\bid="([^"]+)"', text))
    assert all(name.startswith("x-") for name in names)
    assert {
        name for pair in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text) for name in pair if name
    } <= names
    assert "data:image/png;base64," in text
    assert "stroke-linejoin: round" in text


def test_styles_hold_within_their_figure(tmp_path):
    text = shown(
        tmp_path, f"{HEAD}><style>body, .a {{ fill: red; position: fixed }}</style><rect class='a b'/></svg>"
    )
    assert "<style>#x-svg body, #x-svg .x-a {fill: red}</style>" in text
    assert 'class="x-a x-b"' in text
    assert '<svg id="x-svg"' in text


@pytest.mark.parametrize(
    ("size", "points"),
    [
        ("width='72pt'", 72), ("width='25.4mm'", 72), ("width='2.54cm'", 72), ("width='1in'", 72), ("width='96'", 72),
        ("width='96px'", 72), ("viewBox='0 0 96 48'", 72), ("width='100%' viewBox='0,0,96,48'", 72), ("", 400),
        ("width='wide'", 400), ("width='0'", 400), ("width='-3'", 400), ("width='1e9'", 400), ("viewBox='0 0 x'", 400),
    ],
)  # fmt: skip
def test_widths_in_any_unit(tmp_path, size, points):
    text = shown(tmp_path, f"{HEAD} {size}><rect/></svg>")
    assert f"min-width: {1.1 * points:.0f}px; max-width: {2 * points:.0f}px" in text
    assert "width=" not in re.sub(r"(min|max)-width", "", text)
    whole = shown(tmp_path, f"{HEAD} width='96' height='48'><rect/></svg>")
    assert 'viewBox="0 0 96 48"' in whole


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(tmp_path, encoding):
    text = (
        f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE svg PUBLIC 'a' 'b'>{HEAD}><text>é</text></svg>"
    )
    assert "<text>é</text>" in shown(tmp_path, text.encode(encoding))


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no SVG"),
        (b"no figure", "no SVG"),
        (HEAD.encode(), "no SVG"),
        (f"{HEAD}><rect></svg>".encode(), "no SVG"),
        (f"{HEAD}><text>\xe9</text></svg>".encode("latin-1"), "no SVG"),
        (b"<?xml version='1.0' encoding='no-such'?><svg/>", "no SVG"),
        (b"<html/>", "first element is 'html'"),
        (b"<svg xmlns='http://www.w3.org/1999/xhtml'/>", "first element"),
        (f"<!DOCTYPE svg [<!ENTITY l0 'ha'>{LAUGHS}]>{HEAD}><text>&l9;</text></svg>".encode(), "entities"),
        (
            f"<!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>{HEAD}><text>&a;</text></svg>".encode(),
            "entities",
        ),
    ],
)
def test_what_is_no_figure_is_one_line(tmp_path, content, reason):
    with pytest.raises(RecordingError, match=reason):
        shown(tmp_path, content)


def test_nesting_without_end(tmp_path):
    text = shown(tmp_path, f"{HEAD}>{'<g>' * 50_000}{'</g>' * 50_000}</svg>")
    assert text.count("<g>") == 50_000


def test_links_and_other_files_are_not_embedded(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "a.gif").symlink_to(tmp_path / "secret")
    (tmp_path / "b.svg").symlink_to(tmp_path / "secret")
    (tmp_path / "c.gif").write_text("secret")
    (tmp_path / "d.gif").mkdir()
    (tmp_path / "e.gif").symlink_to("/dev/zero")
    for name, reason in (
        ("a.gif", "link"),
        ("b.svg", "link"),
        ("c.gif", "no GIF"),
        ("d.gif", "read"),
        ("e.gif", "link"),
    ):
        with pytest.raises(RecordingError, match=reason):
            vector.inline(tmp_path / name, "x-", "a figure")


def test_a_report_says_what_it_does_not_show(toy):
    """What others put beside an analysis is kept there, and judged."""
    run = study.run("trace", quick=True, folder="runs/one")
    study.write_report(run)
    results = run.folder / "results"
    (results / "x.gif").symlink_to("/etc/passwd")
    (results / "empty.svg").write_bytes(b"")
    (results / "mine.svg").write_text(f"{HEAD} width='50mm'><script>alert(1)</script><rect/></svg>")
    text = study.write_report(run).read_text()
    assert "The figure x.gif is not shown: x.gif cannot be read: it is a link." in text
    assert "The figure empty.svg is not shown: it is no SVG" in text
    assert "alert" not in text
    assert "root:" not in text
    assert "cm9vd" not in text  # the same in base64
    assert text.count("<figure>") == len(list(results.glob("*.svg"))) - 1


@pytest.mark.parametrize("content", [b"", b"a,b\n\xff\xfe", b'"' + b"x" * 200_000 + b'"\n'])
def test_tables_that_are_none(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(RecordingError, match=r"table\.csv"):
        contents.read_table(tmp_path / "table.csv")
