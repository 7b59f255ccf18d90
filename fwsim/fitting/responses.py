"""Measured responses: a table of them, checked and converted to tensors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError, short, type_of
from fwsim.names import KnownArguments, known_arguments
from fwsim.paths import home_path
from fwsim.tables import numeric, read_csv
from fwsim.units import SYMBOLS, outside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from torch import Tensor

COLUMNS = ("protocol", "sweep", "pulse", "time_s", "amplitude")
CELLS = ("cell", "pair")  # names of the column that tells apart what was recorded
SAME_TIME = 1e-9  # s; largest difference between times of the same pulse
SLOW = 1.0  # s; if all intervals are longer, times may be milliseconds: no train has a spike every 1 ms


@dataclass(frozen=True, eq=False)
class Responses(KnownArguments):
    """Responses to spike trains, several sweeps of each protocol.

    Parameters
    ----------
    protocols
        Names.
    times
        `[protocol, pulse]` in s, padded with NaN.
    amplitude
        `[sweep, pulse]`, the sweeps of all protocols one after the other, NaN where missing.
    protocol
        Index of the protocol of each sweep, `[sweep]`.
    weight
        Weight of each sweep, `[sweep]`.
    cells
        Names of the cells or pairs that were recorded; none if the table does not tell them apart.
    cell
        Index of the cell of each sweep, `[sweep]`; without cells, each sweep counts as one.
    """

    protocols: tuple[str, ...]
    times: Tensor
    amplitude: Tensor
    protocol: Tensor
    weight: Tensor
    cells: tuple[str, ...] = ()
    cell: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))

    def __post_init__(self) -> None:
        if len(self.cell) != len(self.amplitude):
            object.__setattr__(self, "cell", torch.arange(len(self.amplitude)))

    @property
    def by_cell(self) -> bool:
        """Whether cells are the independent units, as they are if there are several; otherwise sweeps are."""
        return len(self.cells) > 1

    @property
    def units(self) -> int:
        """Number of independent units: cells or sweeps."""
        return len(self.cells) if self.by_cell else len(self.amplitude)

    @property
    def strata(self) -> int:
        """Number of sets within which units are resampled: one of all cells, or the sweeps of each protocol."""
        return 1 if self.by_cell else len(self.protocols)

    def copied(self) -> Responses:
        """A copy with its own tensors, so that later changes by the caller have no effect."""
        tensors = ("times", "amplitude", "protocol", "weight", "cell")
        return replace(self, **{name: getattr(self, name).detach().clone() for name in tensors})

    def clustered(self, intraclass_correlation: float) -> Responses:
        """The same responses with weights for sweeps of a protocol that come from the same few cells.

        n sweeps count as n / (1 + (n − 1) ρ), where ρ is the correlation between two of them: even many sweeps of one
        cell do not tell how other cells would have responded. Source: Kish 1965, Survey Sampling (design effect).
        """
        if not isinstance(intraclass_correlation, Real) or not 0 <= intraclass_correlation < 1:
            raise ConfigError(
                f"intraclass_correlation={intraclass_correlation!r} is not allowed; give a number in [0, 1), "
                "0 where sweeps are independent"
            )
        number = self.protocol.bincount()[self.protocol].double()
        return replace(self, weight=1 / (1 + (number - 1) * intraclass_correlation))

    def moments(self, weights: Tensor | None = None) -> Moments:
        """Sums over sweeps, which are all that a likelihood needs.

        Parameters
        ----------
        weights
            Number of times that each sweep counts, `[..., sweep]`; `None`: its `weight`.
        """
        known = ~self.amplitude.isnan()
        y = torch.where(known, self.amplitude, 1.0)
        powers = torch.stack([known.double(), y * known, y**2 * known, y.clamp(min=1e-300).log() * known])
        weights = self.weight if weights is None else weights
        sums = [
            torch.einsum("...s,msp->m...p", weights[..., rows], powers[:, rows])
            for rows in (self.protocol == k for k in range(len(self.protocols)))
        ]
        return Moments(*torch.stack(sums, -2))

    def resampled(self, replicates: int, generator: torch.Generator) -> Moments:
        """Moments `[replicate, protocol, pulse]` of sweeps drawn with replacement within each protocol.

        The number of drawn sweeps equals their total weight, so that replicates vary as the estimate does. If the
        table tells several cells apart, whole cells are drawn instead, with all their sweeps.
        """
        if self.by_cell:
            drawn = torch.randint(len(self.cells), (replicates, len(self.cells)), generator=generator)
            often = torch.nn.functional.one_hot(drawn, len(self.cells)).sum(1).double()
            return self.moments(often[:, self.cell] * self.weight)
        weights = torch.zeros(replicates, len(self.amplitude), dtype=torch.float64)
        for k in range(len(self.protocols)):
            rows = (self.protocol == k).nonzero()[:, 0]
            number = max(min(2, len(rows)), round(float(self.weight[rows].sum())))
            drawn = rows[torch.randint(len(rows), (replicates, number), generator=generator)]
            weights.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
        return self.moments(weights)

    def only(self, protocols: str | Sequence[str]) -> Responses:
        """Only these protocols."""
        protocols = (protocols,) if isinstance(protocols, str) else protocols
        if not isinstance(protocols, Sequence):
            raise ConfigError(f"protocols={protocols!r} is not allowed; give a name or a list of names")
        unknown = [name for name in protocols if name not in self.protocols]
        if unknown or not protocols:
            raise ConfigError(
                f"protocol {', '.join(map(repr, unknown)) or 'none'} is not among the responses; "
                f"use {', '.join(map(repr, self.protocols))}"
            )
        kept = [k for k, name in enumerate(self.protocols) if name in protocols]
        rows = torch.isin(self.protocol, torch.tensor(kept))
        renumbered = torch.searchsorted(torch.tensor(kept), self.protocol[rows])
        names = tuple(self.protocols[k] for k in kept)
        found, cell = self.cell[rows].unique(return_inverse=True)
        cells = tuple(self.cells[k] for k in found.tolist()) if self.cells else ()
        return Responses(
            names, self.times[kept], self.amplitude[rows], renumbered, self.weight[rows], cells, cell
        )

    def without(self, *protocols: str) -> Responses:
        """All protocols except these."""
        self.only(protocols)
        kept = [name for name in self.protocols if name not in protocols]
        if not kept:
            raise ConfigError(
                f"without {', '.join(map(repr, protocols))} no protocol remains; leave out fewer than all of them"
            )
        return self.only(kept)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over sweeps, `[..., protocol, pulse]`: number, Σy, Σy², Σ log y."""

    count: Tensor
    total: Tensor
    squares: Tensor
    logs: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean response, NaN without one."""
        return self.total / torch.where(self.count > 0, self.count, torch.nan)

    @property
    def variance(self) -> Tensor:
        """Variance over sweeps, unbiased."""
        return (self.squares - self.count * self.mean**2) / (self.count - 1)

    def keep(self, mask: Tensor) -> Moments:
        """Only the protocols where `mask` `[..., protocol]` is true, with its leading axes."""
        part = mask[..., None].double()
        return Moments(*(value * part for value in self._parts()))

    def repeat(self, times: int) -> Moments:
        """Each element of the first axis `times` times."""
        return Moments(*(value.repeat_interleave(times, 0) for value in self._parts()))

    def __getitem__(self, index: Any) -> Moments:
        return Moments(*(value[index] for value in self._parts()))

    def _parts(self) -> tuple[Tensor, ...]:
        return self.count, self.total, self.squares, self.logs


@known_arguments
def gather(table: pd.DataFrame | xr.Dataset | Responses) -> Responses:
    """Check a table of responses and convert it to tensors.

    Parameters
    ----------
    table
        One row per response: `protocol`, `sweep`, `pulse` (counted from 0), `time_s` from any zero (or
        `time_ms`), `amplitude` (empty if missing). Or a Dataset with variables of these names over any
        dimensions; `time` with an attribute `units` is accepted too. A column `cell` or `pair` tells apart what was
        recorded: sweeps of different cells may have the same number.

    Warns
    -----
    UserWarning
        No two pulses of any train are within a second, and no column is in milliseconds. Such slow trains exist, but
        milliseconds in a column of seconds look the same.

    Raises
    ------
    ConfigError
        The table does not have this form; the message names the first bad row.
    """
    return table.copied() if isinstance(table, Responses) else gather_labelled(table, ())[0]


def gather_labelled(
    table: pd.DataFrame | xr.Dataset, columns: Sequence[str]
) -> tuple[Responses, pd.DataFrame]:
    """As `gather`, and what each sweep has in further columns, one row for each sweep.

    Sweeps with different values in these columns may have the same number.
    """
    frame = _columns(table, columns)
    for name in ("pulse", "time_s", "amplitude"):
        frame[name] = _numbers(frame, name)
    apart = [name for name in ("cell", *columns) if name in frame]
    _check(frame, apart)
    if apart:
        frame["sweep"] = frame.groupby([*apart, "sweep"]).ngroup()
    frame["protocol"] = frame["protocol"].astype(str)
    names = tuple(frame["protocol"].unique())
    by_name = dict(list(frame.groupby("protocol")))
    trains = [_train(name, by_name[name]) for name in names]
    if max(len(amplitude) for _, amplitude in trains) < 2:
        raise ConfigError(
            "no protocol has two sweeps with responses; variability needs at least 2 of one protocol, so add sweeps"
        )
    length = max(len(times) for times, _ in trains)
    pad = lambda values: torch.nn.functional.pad(values, (0, length - values.shape[-1]), value=torch.nan)  # noqa: E731
    if not _says_milliseconds(table):
        _warn_if_slow([times for times, _ in trains])
    amplitudes = torch.cat([pad(_doubles(amplitude)) for _, amplitude in trains])
    sweeps = [sweep for _, amplitude in trains for sweep in amplitude.index]
    labels = frame.drop_duplicates("sweep").set_index("sweep")[apart].loc[sweeps] if apart else frame[[]]
    cells = tuple(frame["cell"].unique()) if "cell" in frame else ()
    number = {name: k for k, name in enumerate(cells)}
    cell = [number[name] for name in labels["cell"]] if cells else []
    found = Responses(
        protocols=names,
        times=torch.stack([pad(times) for times, _ in trains]),
        amplitude=amplitudes,
        protocol=torch.cat([torch.full((len(a),), k) for k, (_, a) in enumerate(trains)]),
        weight=torch.ones(len(amplitudes), dtype=torch.float64),
        cells=cells,
        cell=torch.tensor(cell, dtype=torch.long),
    )
    return found, labels


@known_arguments
def read_table(path: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Read responses from CSV files.

    Parameters
    ----------
    path
        A file, several, or a folder of them, with commas, semicolons (then also decimal commas) or tabs. Without
        a column `protocol`, the file's name is used.
    """
    import pandas as pd

    several = [path] if isinstance(path, (str, Path)) else path
    if (
        not isinstance(several, Sequence)
        or not several
        or not all(isinstance(p, (str, Path)) for p in several)
    ):
        raise ConfigError(f"path={path!r} is not allowed; give a CSV file, several, or a folder of them")
    paths = [home_path(part) for part in several]
    absent = [part for part in paths if not part.exists()]
    if absent:
        raise ConfigError(f"there is no file {absent[0]}; give CSV files of {', '.join(COLUMNS)}")
    files = [file for part in paths for file in (sorted(part.glob("*.csv")) if part.is_dir() else [part])]
    if not files:
        raise ConfigError(
            f"{', '.join(map(str, paths))} holds no CSV file; give files of {', '.join(COLUMNS)}"
        )
    frames = []
    for file in files:
        frame = read_csv(file, lambda name: name in ("pulse", "amplitude") or name.startswith("time_"))
        frames.append(frame if "protocol" in frame else frame.assign(protocol=file.stem))
    return pd.concat(frames, ignore_index=True)


def _columns(table: Any, more: Sequence[str] = ()) -> pd.DataFrame:
    """A copy with the five columns and further ones, time in seconds, and `cell` as text if cells are told apart."""
    import pandas as pd
    import xarray as xr

    if isinstance(table, xr.Dataset) and table.dims:
        unit = table["time"].attrs.get("units") if "time" in table.variables else None
        table = table.to_dataframe().reset_index()
        table = table.rename(columns={"time": f"time_{unit}"}) if unit else table
    if not isinstance(table, pd.DataFrame):
        raise ConfigError(
            f"responses are {type_of(table)}; give a DataFrame or Dataset with {', '.join(COLUMNS)}"
            + ("; pandas.read_csv reads one from a file" if isinstance(table, (str, PathLike)) else "")
        )
    frame = table.rename(columns=lambda name: name.strip() if isinstance(name, str) else name)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ConfigError(f"the table has two columns {short(twice[0])}; leave one of them out")
    times = [name for name in frame if name in {f"time_{symbol}" for symbol in SYMBOLS["time"]}]
    if len(times) > 1:
        raise ConfigError(f"the table has columns {' and '.join(times)}; leave one of them out")
    for symbol, factor in SYMBOLS["time"].items():
        if f"time_{symbol}" in frame and "time_s" not in frame:
            frame["time_s"] = _numbers(frame, f"time_{symbol}") * factor
    if "time" in frame and "time_s" not in frame:
        raise ConfigError("column time has no unit; call it time_s (or time_ms), or set the Dataset's units")
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        if set(missing) & set(frame.index.names):
            raise ConfigError(f"columns {', '.join(missing)} are the table's index; give table.reset_index()")
        others = ", ".join(str(name) for name in frame.columns if name not in COLUMNS)
        raise ConfigError(
            f"the table has no column {', '.join(missing)}; it must have {', '.join(COLUMNS)}; "
            + (f"rename its other columns, which are {short(others)}" if others else "add what is missing")
        )
    if not len(frame):
        raise ConfigError("the table has no rows; give one row for each response")
    if frame["sweep"].dtype == object:  # a mixture of numbers and names, which have no common order
        frame["sweep"] = frame["sweep"].map(str, na_action="ignore")
    absent = [name for name in more if name not in frame]
    if absent:
        raise ConfigError(
            f"the table has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}"
        )
    told = [name for name in CELLS if name in frame]
    if len(told) > 1:
        raise ConfigError(
            "the table has columns cell and pair; leave out the one that does not tell cells apart"
        )
    frame = frame[[*COLUMNS, *told, *(name for name in more if name not in (*COLUMNS, *told))]]
    frame = frame.rename(columns=dict.fromkeys(told, "cell")).reset_index(drop=True)
    for name in ("cell", *more):
        if name in frame and name not in COLUMNS:
            frame[name] = frame[name].map(str, na_action="ignore")
    return frame


def _numbers(frame: pd.DataFrame, name: str) -> pd.Series:
    if frame[name].dtype.kind in "cmMb":  # complex, time spans, dates, truth values
        raise ConfigError(f"column {name} holds {frame[name].dtype}; give real numbers")
    numbers = numeric(frame[name])
    text = numbers.isna() & frame[name].notna()
    if text.any():
        row = int(text.to_numpy().argmax())
        raise ConfigError(
            f"row {row}: {name}={short(frame[name].iloc[row])} is not a number{_of(frame, row, name)}; "
            "correct it or leave it empty"
        )
    return numbers.astype("float64")


def _check(frame: pd.DataFrame, apart: Sequence[str]) -> None:
    import numpy as np

    pulse, time = frame["pulse"], frame["time_s"]
    problems = [
        ("protocol", frame["protocol"].isna(), "give every row the name of its protocol"),
        ("sweep", frame["sweep"].isna(), "number the sweeps of each protocol"),
        ("pulse", ~((pulse >= 0) & (pulse % 1 == 0)), "count the pulses of a sweep 0, 1, 2 …"),
        ("time_s", ~np.isfinite(time), "give every pulse its time in seconds"),
        ("time_s", time < 0, "times are seconds from the start of the sweep, at least 0"),
        ("amplitude", np.isinf(frame["amplitude"]), "leave a missing response empty"),
        *((name, frame[name].isna(), "give every row a value here") for name in apart),
    ]
    for name, bad, remedy in problems:
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise ConfigError(
                f"row {row}: {name}={short(frame[name].iloc[row])} is not allowed{_of(frame, row, name)}; {remedy}"
            )
    double = frame.duplicated(["protocol", *apart, "sweep", "pulse"])
    if double.any():
        first = frame[double].iloc[0]
        raise ConfigError(
            f"protocol {first.protocol!r} has sweep {first.sweep}, pulse {first.pulse:g} twice; number its sweeps apart"
        )


def _of(frame: pd.DataFrame, row: int, name: str) -> str:
    """What identifies a row: a table may be of several files, each with a row of this number."""
    known = [each for each in ("protocol", "sweep", "pulse") if each in frame and each != name]
    return f" ({', '.join(f'{each} {short(frame[each].iloc[row])}' for each in known)})" if known else ""


def _says_milliseconds(table: Any) -> bool:
    return "time_ms" in table or (
        "time" in table and getattr(table["time"], "attrs", {}).get("units") == "ms"
    )


def _warn_if_slow(trains: Sequence[Tensor]) -> None:
    intervals = torch.cat([times.diff() for times in trains])
    if len(intervals) and float(intervals.min()) > SLOW:
        warnings.warn(
            f"the shortest interval between pulses is {float(intervals.min()):g} s; if the times are milliseconds, "
            "call their column time_ms, and if trains are that slow, ignore this",
            stacklevel=outside(),
        )


def _train(protocol: str, rows: pd.DataFrame) -> tuple[Tensor, pd.DataFrame]:
    """Times `[pulse]` and amplitudes `[sweep, pulse]` of one protocol."""
    by_pulse = rows.groupby("pulse")["time_s"].agg(["min", "max"])
    pulses, times = by_pulse.index.to_numpy(), by_pulse["min"].to_numpy()
    absent = (pulses != range(len(pulses))).nonzero()[0]
    if len(absent):
        raise ConfigError(
            f"protocol {protocol!r} has no time for pulse {absent[0]} (pulses count from 0); add a row with its "
            "time_s and empty amplitude"
        )
    varying = (by_pulse["max"] - by_pulse["min"]).to_numpy() > SAME_TIME
    if varying.any():
        raise ConfigError(
            f"protocol {protocol!r}: pulse {pulses[varying][0]:g} comes at different times in different sweeps; "
            "name trains with different times as different protocols"
        )
    falling = (times[1:] <= times[:-1]).nonzero()[0]
    if len(falling):
        raise ConfigError(
            f"protocol {protocol!r}: pulse {falling[0] + 1} does not come after pulse {falling[0]}; sort by time"
        )
    amplitude = rows.pivot(index="sweep", columns="pulse", values="amplitude")
    amplitude = amplitude.dropna(how="all")
    if not len(amplitude):
        raise ConfigError(f"protocol {protocol!r} has no response; leave the protocol out")
    return torch.tensor(times), amplitude


def _doubles(frame: pd.DataFrame) -> Tensor:
    return torch.tensor(frame.to_numpy(), dtype=torch.float64)
