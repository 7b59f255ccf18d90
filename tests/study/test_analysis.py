"""Analyses of a run: what they find, the files that they leave, and what is said of broken ones."""

import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

from fwsim.errors import ConfigError, RecordingError
from fwsim.study import StudyError, analyse, run
from fwsim.study.analysis import captioned


@pytest.fixture
def done(toy):
    return run("trace", {"tau": "300 ms"}, folder="done")


def write_analysis(toy, body):
    (toy / "analysis" / "other.py").write_text(
        f"import xarray as xr\nfrom matplotlib.figure import Figure\n{body}\n"
    )


def test_an_analysis_finds_what_was_put_in(done):
    report = analyse(done)
    assert report.result.tau.item() == pytest.approx(0.3, rel=1e-9)
    names = [path.name for path in report.files]
    assert names == ["result.nc", "table.csv", "trace.png", "trace.pdf", "trace.svg"]
    assert report.folder == done.folder / "results"
    with xr.open_dataset(report.files[0], engine="h5netcdf") as stored:
        assert stored.tau.item() == report.result.tau.item()
        assert stored.tau.attrs == {"units": "s", "long_name": "time constant"}
    assert pd.read_csv(report.files[1]).value.item() == pytest.approx(0.3)
    assert report.files[2].read_bytes()[:4] == b"\x89PNG"
    assert report.files[3].read_bytes()[:5] == b"%PDF-"


BODY = """
def analyse(recording): return xr.Dataset()
def plot(result): return Figure()
def table(result): return [{"gap [s]": 1, "count?": 2, "other": 3}]
"""


def test_columns_are_explained_by_their_names(toy, done):
    write_analysis(toy, BODY + 'EXPLAINED = {"gap [s]": "time", "c*?": "how many"}')
    assert analyse(done, "other").columns == {"gap [s]": "time", "count?": "how many"}


def test_figures_have_captions_also_those_of_points_of_a_sweep(toy, done):
    write_analysis(toy, BODY + 'CAPTIONS = {"*": "of <all>"}')
    report = analyse(done, "other")
    assert report.captions == {"other": "of <all>"}
    assert pd.read_csv(report.folder / "captions.csv").to_dict("records") == [
        {"figure": "other", "caption": "of <all>"}
    ]
    given = {"rate": "of rates", "rate-like": "alike"}
    names = ["rate", "rate-tau=3", "rate-like", "rates", "rate-like-tau=3"]
    assert captioned(given, names) == {
        "rate": "of rates",
        "rate-tau=3": "of rates",
        "rate-like": "alike",
        "rate-like-tau=3": "alike",
    }
    write_analysis(toy, BODY + 'CAPTIONS = ["of all"]')
    with pytest.raises(StudyError, match=r"CAPTIONS is .* not texts by names of figures"):
        analyse(done, "other")


@pytest.mark.parametrize("given", ['["gap [s]"]', '{3: "time"}', '{"gap [s]": None}'])
def test_meanings_that_are_no_texts_are_refused(toy, done, given):
    write_analysis(toy, BODY + f"EXPLAINED = {given}")
    with pytest.raises(StudyError, match="not texts by names of columns") as caught:
        analyse(done, "other")
    assert "\n" not in str(caught.value)


def test_it_can_be_repeated(done):
    first = analyse(done)
    assert analyse("done").files == first.files


def test_another_analysis_gets_its_own_folder(toy, done):
    analyse(done)
    write_analysis(
        toy,
        "def analyse(recording): return xr.Dataset({'n': recording.sizes['time'], 'label': recording.label})\n"
        "def plot(result): return {'one': Figure(), 'two': Figure()}",
    )
    report = analyse(done, "other")
    assert report.table is None
    assert [path.name for path in report.files[1:]] == [
        f"{name}.{kind}" for name in ("one", "two") for kind in ("png", "pdf", "svg")
    ]
    assert report.folder.name == "results-other"
    assert (done.folder / "results" / "trace.pdf").exists()


def test_pyplot_figures_are_drawn_in_house_style(toy, done):
    write_analysis(
        toy,
        "import matplotlib.pyplot as plt\n"
        "def analyse(recording): return xr.Dataset()\n"
        "def plot(result):\n    made, axes = plt.subplots()\n    assert made.get_figwidth() == 3.5\n    return made",
    )
    assert analyse(done, "analysis/other.py").files


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("def analyse(recording): return xr.Dataset()", ConfigError, "does not define plot"),
        (
            "def analyse(recording): return 3\ndef plot(result): pass",
            StudyError,
            "analyse returned int, not a Dataset",
        ),
        (
            "def analyse(recording): return xr.Dataset()\ndef plot(result): pass",
            StudyError,
            "plot returned NoneType, not a Figure",
        ),
        (
            "def analyse(recording):\n    return recording.nonsense\ndef plot(result): pass",
            StudyError,
            r"AttributeError: .*nonsense.* \(line 4\)",
        ),
    ],
)
def test_broken_analyses(toy, done, body, error, said):
    write_analysis(toy, body)
    with pytest.raises(error, match=said):
        analyse(done, "other")
    assert not (done.folder / "results-other").exists()


def test_what_is_missing(toy):
    (toy / "analysis" / "trace.py").unlink()
    done = run("trace", {"steps": 2})
    with pytest.raises(ConfigError, match=r"has no analysis; write analysis/trace\.py"):
        analyse(done)
    with pytest.raises(ConfigError, match="unknown analysis 'gone'"):
        analyse(done, "gone")
    with pytest.raises(ConfigError, match="unknown run"):
        analyse("gone")
    (toy / "analysis" / "blank.py").write_text(
        "def analyse(recording): return recording\ndef plot(result): return None"
    )
    done.update(state="failed")
    done.recording_path.rename(toy / "elsewhere")
    with pytest.raises(RecordingError, match="has no recording"):
        analyse(done, "blank")


def test_figures_have_the_promised_size():
    from fwsim.study import figure

    single, axes = figure()
    double, grid = figure(1, 3, width="double", sharey=True)
    assert isinstance(single, Figure)
    assert axes.get_figure() is single
    assert (single.get_figwidth(), double.get_figwidth(), grid.shape) == (3.5, 7.0, (3,))
    assert double.get_figheight() == pytest.approx(7 / 3 * 0.75)
    with pytest.raises(ConfigError, match="width='wide' is unknown; use one of 'single', 'double'"):
        figure(width="wide")


def test_the_style_cycles_through_the_named_colours():
    import matplotlib as mpl

    from fwsim.study import COLOURS, house_style

    before = mpl.rcParams["figure.figsize"]
    with house_style():
        cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert set(cycle) == set(COLOURS.values())
    assert mpl.rcParams["figure.figsize"] == before
