"""Intervals cover as often as they say, and verdicts are wrong no more often than they say: simulated data sets."""

import ast
import re
from pathlib import Path

import pytest

from tests.measure.calibration import CASES, SETS, band

ROOT = Path(__file__).parents[2]
UNCERTAIN = re.compile(
    r"(?:[a-z_]*_)?(?:low|high|intervals?|error|sd|p_value|significant|rejected|resolved|told_apart|undetermined|code|ring|stable"
    r"|marginal|agrees)"
)
"""How variables and properties are named that hold an interval, a p or a verdict."""
COUNTED = {
    "measure/attraction": "basins", "measure/codes": "decode", "measure/decoding": "decode",
    "measure/correlation": "autocorrelation_time", "measure/equilibria": "fixed_points",
    "measure/exponents": "lyapunov_exponents", "measure/forgetting": "forgetting_curve", "measure/topology": "loops",
    "fitting/bands": "Fit.bands", "fitting/differences": "compare_rules", "fitting/fitted": "fit",
    "fitting/posterior": "fit", "fitting/population": "fit_population", "fitting/shares": "shares",
    "study/agreement": "bootstrap", "study/rows": "bootstrap",
    "study/sweeps/sensitivity": "design", "rules/derive/steady_state": "steady_state",
}  # fmt: skip
"""The module of each → the function in the table of docs/results/calibration.md."""
COMPARED = {"fitting/sampling": "`Fit.sample_posterior`", "fitting/synapse_draws": "*Single cells.*"}
"""What the page says in words: these have tests of their own."""
OTHERWISE = {
    "eigenvalues of the system itself": ("measure/arclength", "measure/branches", "measure/cycles"),
    "errors of a numerical method": ("measure/collocation",),
    "squared errors": ("fitting/choice", "fitting/comparison"),
    "limits of a search": ("fitting/coordinates",),
    "errors of a program": ("study/config", "study/manifest", "study/report/contents", "study/sweeps/dispatch",
                            "study/sweeps/records", "study/sweeps/run"),
    "times between spikes": ("rules/derive/propagate", "rules/derive/respond", "rules/derive/sampling"),
}  # fmt: skip
"""What such names mean elsewhere."""


def named(path):
    """Texts in a file, and names of its functions and fields."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_every_interval_and_verdict_is_in_the_table():
    """A new one needs a case, and a row on the page; or is something else."""
    found = set()
    for package in ("measure", "fitting", "study", "rules/derive"):
        for path in (ROOT / "fwsim" / package).rglob("*.py"):
            if any(UNCERTAIN.fullmatch(name) for name in named(path)):
                found.add(path.relative_to(ROOT / "fwsim").with_suffix("").as_posix())
    assert found == {*COUNTED, *COMPARED, *(module for several in OTHERWISE.values() for module in several)}
    page = (ROOT / "docs" / "results" / "calibration.md").read_text()
    for name in COUNTED.values():
        assert f"| `{name}`" in page
    for words in COMPARED.values():
        assert words in page
    for name in CASES:
        assert f"| {name} |" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_rates_are_the_nominal_ones(name):
    if "decode" in name:
        pytest.importorskip("sklearn", reason="scikit-learn is an optional dependency")
    if "loops" in name:
        pytest.importorskip("gudhi", reason="gudhi is an optional dependency")
    function, expected = CASES[name]
    written = re.search(r"\((\d+) sets\)$", name)
    low, high = band(expected, int(written[1]) if written else SETS)
    assert low <= function(SETS) <= high
