"""The main job in one go: fast weights retrieve what they saw once, and their inner loop falls into it.

`make demo` runs this after setting up. It trains a network of 50 units, and the same without memory (seed 0), and
prints a table with the paper's figures beside ours. Then it trains a smaller network whose inner loop may go on for
any number of iterations, and finds the attractors of its memory. Figures go to runs/demo.
"""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from fwsim import study
from fwsim.study.analysis import Report

FOLDER = Path("runs/demo")
MODELS = {"fast_weights": "fast weights", "no_memory": "no memory (RNN + LN)"}
console = Console()


def train(model: str) -> Report:
    """Train one network on associative retrieval and analyse its recording."""
    console.print(f"training: {MODELS[model]}, 50 units, 100,000 sequences …")
    run = study.run(
        "associative_retrieval", {"model": model, "units": 50}, seed=0, folder=FOLDER / model, force=True
    )
    if model == "fast_weights":
        study.analyse(run, "query_attention")
    return study.analyse(run)


def attractors() -> str:
    """Train a network with a random number of iterations at its query; say where its loop ends."""
    console.print("training: an inner loop that may go on for ever, 32 units, two pairs …")
    run = study.run("attractor_memory", seed=0, folder=FOLDER / "attractors", force=True)
    found = study.analyse(run).result
    once, last = (float(found.error.sel(iteration=count)) for count in (1, 256))
    alone = found.sel(input="none")
    return (
        f"This network answers wrongly in {once:.1f} % of sequences after 1 iteration, and in {last:.1f} % after 256: "
        f"its memories of two pairs have {float(alone.attractors):.1f} attractors on average, and "
        f"{100 * float(alone.answers):.0f} % of the stored digits lead to one that answers them (portrait.png)."
    )


def table(reports: dict[str, Report]) -> Table:
    """Ours beside the paper's."""
    made = Table(title="Associative retrieval, K = 4, R = 50: test error (%)")
    for title, side in (
        ("network", "left"),
        ("fwsim", "right"),
        ("Ba et al. 2016", "right"),
        ("no binding", "right"),
    ):
        made.add_column(title, justify=side)
    for model, report in reports.items():
        paper = float(report.result.paper_error)
        made.add_row(
            MODELS[model],
            f"{float(report.result.test_error):.2f}",
            "–" if paper != paper else f"{paper:.2f}",
            f"{float(report.result.plateau):.2f}",
        )
    return made


def main() -> None:
    """Train, print, say where the figures are."""
    reports = {model: train(model) for model in MODELS}
    memory = reports["fast_weights"].result
    before, after = (100 * float(memory[f"hit_{side}"]) for side in ("before", "after"))
    console.print(table(reports))
    console.print(
        f"The query's most attended pair is the right one in {before:.0f} % of sequences before "
        f"the inner loop and in {after:.0f} % after it."
    )
    console.print(attractors())
    for path in sorted(FOLDER.glob("*/results*/*.png")):
        console.print(f"figure: {path}")
    console.print("To change something: fwsim run associative_retrieval --help")


if __name__ == "__main__":
    main()
