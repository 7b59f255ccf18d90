"""What all tests of experiments and their analyses have in common."""

import pytest

from fwsim.notebook import STYLE


@pytest.fixture(scope="module", autouse=True)
def small_figures(tmp_path_factory):
    """Draw each figure once, with few pixels: that all formats are written, and how sharp, is tested elsewhere."""
    style = tmp_path_factory.mktemp("style") / "small.mplstyle"
    style.write_text(STYLE.read_text("utf-8").replace("savefig.dpi: 300", "savefig.dpi: 40"), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fwsim.study.figures.FORMATS", ("png",))
        patch.setattr("fwsim.study.figures.STYLE", style)
        yield
