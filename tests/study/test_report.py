"""One page about runs: whole, self-contained, and true to what the folders say."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from fwsim import study
from fwsim.errors import ConfigError
from fwsim.study.analysis import explained
from fwsim.study.report import origins, vector
from fwsim.study.report.contents import read_table

VOID = {"meta", "link", "br", "img", "hr", "use", "path"}


class Page(HTMLParser):
    """Checks that elements close, and keeps text, identifiers and addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.identifiers, self.addresses = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.identifiers.append(value)
            if name in ("href", "src", "xlink:href", "action"):
                self.addresses.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def page():
    def read(path):
        made = Page(path.read_text())
        assert made.open == []
        return made

    return read


def test_meanings_of_columns_are_found_by_their_text():
    table = pd.DataFrame({"rate [Hz]": [1.0], "error (%)": [1.0], "right after 3": [1.0], "rateH": [1.0]})
    meanings = {"rate [Hz]": "a", "error (%)": "b", "right after *": "c"}
    assert list(explained(meanings, table).items()) == list(zip(table, "abc"))


def test_a_page_says_what_was_run_and_needs_nothing_else(toy, page):
    with (toy / "analysis" / "trace.py").open("a") as analysis:
        analysis.write('\nEXPLAINED = {"val*": "of the <trace>"}\nCAPTIONS = {"*": "A <line>."}\n')
    run = study.run("trace", {"tau": 0.3, "steps": 9}, seed=3, folder="runs/one")
    study.analyse(run)
    card = run._repr_html_()
    assert all(part in card for part in ("finished", "runs/one", ">tau<", ">0.3<"))
    path = study.write_report(run)
    assert path == run.folder / "report.html"
    made, text = page(path), path.read_text()
    said = " ".join(" ".join(made.text).split())
    for part in (
        "How fast does a trace decay?",
        "tau 0.3 s 0.2 s Time constant.",
        "time constant (s) 0.3 value of the <trace>",
        "trace : A <line>.",
        "fwsim run --again runs/one",
        "trace time 9",
        "seed 3",
        run.manifest["commit"],
    ):
        assert part in said
    assert "<svg" in text
    assert 'aria-label="Results, trace: A &lt;line&gt;."' in text
    assert "def run(config: Config, context: Context)" in said
    assert all(address.startswith(("#", "data:")) for address in made.addresses)
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert len(set(made.identifiers)) == len(made.identifiers)


def test_several_runs_stand_side_by_side(toy, page):
    study.run("trace", {"tau": 0.3}, folder="runs/one")
    study.run("trace", {"tau": 0.4}, seed=1, folder="runs/two")
    path = study.write_report(["runs/one", "two"], "pages/both.html")
    made = page(path)
    rows = re.findall(
        r"<tr><td>(\w+)</td><td>trace</td><td>finished</td><td>(\d)</td><td>([\d.]+ s)", path.read_text()
    )
    assert rows == [("one", "0", "0.3 s"), ("two", "1", "0.4 s")]
    assert len(set(made.identifiers)) == len(made.identifiers)


def test_a_run_without_analysis_or_end_still_gives_a_page(toy, page):
    (toy / "analysis" / "trace.py").unlink()
    study.run("trace", quick=True, folder="runs/bare")
    source = (toy / "experiments" / "trace.py").read_text()
    (toy / "experiments" / "trace.py").write_text(source.replace("    noise =", "    1 / 0\n    noise ="))
    with pytest.raises(study.StudyError):
        study.run("trace", quick=True, folder="runs/failed")
    said = " ".join(page(study.write_report(["runs/bare", "runs/failed"], "page.html")).text)
    assert "It has no analysis." in said
    assert "The run is failed: ZeroDivisionError" in said
    assert "fwsim resume runs/failed" in said


def test_a_sweep_says_what_was_swept(toy, page):
    recording = study.sweep(
        "leak", over={"eta": [1, 2], "tau": "1,3"}, seeds=2, quick=True, workers=1, folder="s"
    )
    said = " ".join(" ".join(page(study.write_report(recording.attrs["folder"])).text).split())
    assert "eta 1; 2 tau 1; 3 seed 0, 1" in said


def test_settings_that_are_the_defaults_are_not_shown_as_changed(toy):
    """A tuple of the configuration is a list in the manifest, and still the default."""
    text = study.write_report(study.run("trace", folder="runs/one")).read_text()
    assert "All settings are the experiment's defaults." in text
    assert "Other than by default" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1234567, "0.123457"),
        (True, "yes"),
        ([], "none"),
        ([[1.0, 2.5], [3]], "1, 2.5, 3"),
        (list(range(10)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (list(range(11)), "0, 1, 2, …, 10 (11 values)"),
    ],
)
def test_settings_as_text(value, text):
    assert origins.said(value) == text


def test_what_was_swept_is_written_as_settings_are(toy, page):
    study.sweep("trace", {"tau": [0.123456, 1.0], "offset": [True, False]}, quick=True, workers=1, folder="s")
    (toy / "s" / "analysis.py").unlink()
    said = " ".join(" ".join(page(study.write_report("s")).text).split())
    assert "tau 0.123456; 1 offset yes; no seed 0" in said


def test_a_run_at_work_is_waited_for(toy, page):
    done = study.run("trace", quick=True, folder="runs/one")
    done.update(state="running", digests=None)
    with done.lock():
        said = " ".join(" ".join(page(study.write_report("runs/one")).text).split())
    assert "The run is running. Wait until it has ended" in said
    assert "fwsim resume" not in said


def test_text_of_the_run_cannot_become_part_of_the_page(toy):
    source = (toy / "experiments" / "trace.py").read_text()
    (toy / "experiments" / "trace.py").write_text(
        source.replace("How fast", "<script>alert(1)</script> How fast")
    )
    text = study.write_report(study.run("trace", quick=True, folder="runs/one")).read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_wrong_use(toy):
    study.run("trace", quick=True, folder="runs/one")
    for given, to, said in (
        ([], None, "needs a run"),
        ("one", "page.pdf", "ends in .html"),
        ("two", None, "unknown run"),
    ):
        with pytest.raises(ConfigError, match=said):
            study.write_report(given, to)


def test_ink_follows_the_scheme_and_large_figures_are_pixels(tmp_path, monkeypatch):
    made, axes = study.figure()
    axes.plot([0, 1], [0, 1], color="black")
    paths = study.figures.save_figure(made, tmp_path, "line")
    text = vector.inline(paths[-1], "x-", "a line")
    assert "currentColor" in text
    assert "#000000" not in text
    assert 'aria-label="a line"' in text
    (tmp_path / "moving.gif").write_bytes(b"GIF89a")
    assert 'src="data:image/gif;base64,R0lGODlh"' in vector.inline(tmp_path / "moving.gif", "y-", "a game")
    monkeypatch.setattr(vector, "LARGEST", 10)
    assert vector.inline(paths[-1], "x-", "a line").startswith(
        '<img alt="a line" src="data:image/png;base64,'
    )


def test_numbers_of_a_table_are_rounded_and_names_are_not(tmp_path):
    (tmp_path / "table.csv").write_text("run,value\n2024_01,0.123456\n007,nan\n")
    assert read_table(tmp_path / "table.csv").rows == (("2024_01", "0.1235"), ("007", "nan"))
