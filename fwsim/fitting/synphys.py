"""Recorded pairs of cortical neurons: the Allen Institute's synaptic physiology as a table of sweeps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fwsim.errors import ConfigError, number
from fwsim.names import known_arguments
from fwsim.paths import home_path
from fwsim.tables import numeric

if TYPE_CHECKING:
    import pandas as pd

VARIABLE = "FWSIM_SYNPHYS"
FILE = "pairs.csv.gz"
LABELS = ("species", "calcium_mM", "pre", "post", "pair", "clamp")
COLUMNS = (*LABELS, "frequency_Hz", "recovery_s", "sweep")
FIRST = 8  # pulses before the recovery
UNSEEN = 1e-3  # of the pair's median; below it the fit of a response found nothing


@known_arguments
def read_pairs(path: str | Path | None = None, *, unseen: float = UNSEEN) -> pd.DataFrame:
    """Read recorded pairs as a table for `fwsim.fit` and `fwsim.fit_population`.

    Parameters
    ----------
    path
        A CSV file with a row for each sweep, or its folder (then `pairs.csv.gz`); `None`: the environment variable
        FWSIM_SYNPHYS. Columns: `species`, `calcium_mM`, `pre`, `post`, `pair`, `clamp`, `frequency_Hz`, `recovery_s`
        (from pulse 8 to pulse 9), `sweep`, and `pulse_1`, `pulse_2` … (empty where missing).
    unseen
        Responses below this fraction of the median of their pair and clamp are set to 0: the fit that measured them
        found nothing.

    Returns
    -------
    DataFrame
        A row for each response: `protocol`, `sweep`, `pulse`, `time_s`, `amplitude`, `pair`, `class` (such as
        `"mouse sim1→sim1"`), `clamp`, `species`, `calcium_mM`, `pre`, `post`, `frequency_Hz`, `recovery_s`.
        Amplitudes are positive for the usual sign of a pair and clamp; the unit is that of the file
        (mV in current clamp, pA in voltage clamp). Of a pair, current and voltage clamp have separate sweeps.

    Raises
    ------
    ConfigError
        There is no path or file, or it has another layout.

    Notes
    -----
    Sources: Seeman et al. 2018, eLife 7:e37349; Campagnola et al. 2022, Science 375:eabj5861; as extracted for
    Beninger, Rossbroich, Tóth & Naud 2024, Cell Rep. 43:113785.
    """
    import numpy as np

    number("unseen", unseen, least=0)
    sweeps = _read(_file(path))
    pulses = [name for name in sweeps if str(name).startswith("pulse_")]
    one = [*LABELS[4:], "sweep"]
    sweeps["sweep"] = np.arange(len(sweeps))
    sweeps["class"] = sweeps["species"] + " " + sweeps["pre"] + "→" + sweeps["post"]
    sweeps["protocol"] = [
        f"{rate:g} Hz, recovery {rest:g} s"
        for rate, rest in zip(sweeps["frequency_Hz"], sweeps["recovery_s"])
    ]
    table = sweeps.melt(
        [name for name in sweeps if name not in pulses], pulses, var_name="pulse", value_name="amplitude"
    )
    table["pulse"] = table["pulse"].str.removeprefix("pulse_").astype(int) - 1
    table = table.sort_values([*one, "pulse"], ignore_index=True)
    interval = 1 / table["frequency_Hz"]
    gap = np.where(table["pulse"] >= FIRST, table["recovery_s"] - interval, 0.0)
    table["time_s"] = table["pulse"] * interval + gap
    of_pair = table.groupby(["pair", "clamp"])["amplitude"]
    sign = np.sign(of_pair.transform("sum"))
    typical = table["amplitude"].abs().groupby([table["pair"], table["clamp"]]).transform("median")
    seen = table["amplitude"].isna() | (table["amplitude"] * sign > unseen * typical)
    table["amplitude"] = (table["amplitude"] * sign).where(seen, 0.0)
    return table


def _file(path: str | Path | None) -> Path:
    given = path if path is not None else os.environ.get(VARIABLE, "")
    if not given:
        raise ConfigError(f"there are no pairs: give a path to {FILE} or its folder, or set {VARIABLE} to it")
    found = home_path(given)
    found = found / FILE if found.is_dir() else found
    if not found.is_file():
        raise ConfigError(f"there is no file {found}; give a path to {FILE} or its folder")
    return found


def _read(file: Path) -> pd.DataFrame:
    """Rows of sweeps, checked."""
    import pandas as pd

    try:
        sweeps = pd.read_csv(file, dtype={"pair": str, "pre": str, "post": str}, keep_default_na=True)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read as a table ({error}); give a CSV file, gzipped or not"
        ) from None
    missing = [name for name in (*COLUMNS, "pulse_1", "pulse_2") if name not in sweeps]
    if missing:
        raise ConfigError(
            f"{file} has no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}, pulse_1 …"
        )
    if not len(sweeps):
        raise ConfigError(f"{file} has no rows; give one for each sweep")
    for name in sweeps:
        if name in ("frequency_Hz", "recovery_s", "calcium_mM") or name.startswith("pulse_"):
            sweeps[name] = numeric(sweeps[name]).astype(float)
    empty = [name for name in COLUMNS if sweeps[name].isna().any()]
    if empty or not ((sweeps["frequency_Hz"] > 0) & (sweeps["recovery_s"] > 0)).all():
        name = empty[0] if empty else "frequency_Hz or recovery_s"
        raise ConfigError(f"{file}: {name} has an empty or impossible value; give every sweep one above 0")
    return sweeps
