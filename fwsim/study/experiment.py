"""An experiment: its question, its `Config` and its `run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fwsim.errors import ConfigError
from fwsim.names import known_arguments, unknown
from fwsim.study import files
from fwsim.study.config import Config
from fwsim.study.context import Context

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Batching:
    """How points of a sweep run together, as one set of tensors, if they differ in a few parameters only.

    Parameters
    ----------
    parameters
        Parameters that may differ, besides the seed (`BATCHABLE` in the file).
    run
        `run_batch(configs, contexts)`, which returns one recording for each configuration.
    size
        `point_bytes(config)`, memory in bytes of one point in a batch.
    """

    parameters: tuple[str, ...]
    run: Callable[[Sequence[Any], Sequence[Context]], Sequence[xr.Dataset]]
    size: Callable[[Any], float]


@dataclass(frozen=True)
class Experiment:
    """A loaded experiment file.

    Parameters
    ----------
    name
        Name of the file without suffix, or the name under which a run stores its copy.
    path
        The file.
    doc
        Its docstring; the first line is the question.
    config
        Its configuration class.
    run
        `run(config, context)`, which returns the recording.
    quick
        Overrides of the configuration that make a run short (`QUICK` in the file).
    batching
        How several points run together; None if the file declares no `BATCHABLE`.
    cpu_only
        Whether it does not use `context.device` (`CPU_ONLY` in the file).
    """

    name: str
    path: Path
    doc: str
    config: type[Config]
    run: Callable[[Any, Context], xr.Dataset]
    quick: Mapping[str, Any]
    batching: Batching | None = None
    cpu_only: bool = False

    @property
    def question(self) -> str:
        """First line of the docstring."""
        return files.question(self.doc)

    def configure(self, given: Config | Mapping[str, Any] | None = None, *, quick: bool = False) -> Config:
        """Make the configuration: defaults, then `QUICK` if requested, then the given values.

        A complete configuration is returned unchanged.

        Raises
        ------
        ConfigError
            A value is not allowed, the experiment declares no `QUICK`, or `quick` is given with a complete
            configuration.
        """
        if isinstance(given, Config):
            if quick:
                raise ConfigError(
                    "quick=True changes defaults and config is complete; give values, e.g. {'units': 20}"
                )
            return given
        if not isinstance(given, Mapping | None):
            raise ConfigError(f"config={given!r} is not allowed; give values by field, e.g. {{'units': 20}}")
        return self.config(**{**self.overrides(quick), **(given or {})})

    def overrides(self, quick: bool) -> Mapping[str, Any]:
        """Overrides of the defaults that `quick` asks for."""
        if quick and not self.quick:
            raise ConfigError(f"{self.name} declares no QUICK overrides; run it without --quick")
        return self.quick if quick else {}

    def device(self, given: str) -> str:
        """Name of the device on which it runs.

        Raises
        ------
        ConfigError
            Another device than the CPU is given for an experiment that does not use it.
        """
        if self.cpu_only and given not in ("auto", "cpu"):
            raise ConfigError(
                f"device={given!r} is not allowed: {self.name} computes on the CPU only; leave it out, or give 'cpu'"
            )
        return "cpu" if self.cpu_only else given


@known_arguments
def load_experiment(given: str | Path | ModuleType | Experiment, name: str | None = None) -> Experiment:
    """An experiment by name, path or module.

    Parameters
    ----------
    given
        A name from `fwsim list`, a path, an imported module, or an experiment.
    name
        Another name than that of its file.

    Raises
    ------
    ConfigError
        Not found, does not load, or lacks `Config` or `run`.
    """
    if isinstance(given, Experiment):
        return given
    if not isinstance(given, (str, Path, ModuleType)):
        raise ConfigError(f"{given!r} is no experiment; give a name from 'fwsim list', a path or a module")
    if isinstance(given, ModuleType):
        module, path = given, Path(str(given.__file__))
    else:
        path = files.find(given)
        module = files.load(path, ("Config", "run"))
    return from_module(module, path, name)


def from_module(module: ModuleType, path: Path, name: str | None = None) -> Experiment:
    """The experiment in a loaded file; `path` and `name` are used in messages.

    Raises
    ------
    ConfigError
        One of the names that the file defines is not what it should be.
    """
    if not (isinstance(module.Config, type) and issubclass(module.Config, Config)):
        raise ConfigError(f"{path}: Config must be a subclass of fwsim.study.Config")
    quick = getattr(module, "QUICK", {})
    if not isinstance(quick, Mapping):
        raise ConfigError(
            f"{path}: QUICK={quick!r} is not allowed; give values by field, e.g. {{'units': 20}}"
        )
    _check_fields(module, path, "QUICK", quick)
    cpu_only = getattr(module, "CPU_ONLY", False)
    if not isinstance(cpu_only, bool):
        raise ConfigError(f"{path}: CPU_ONLY={cpu_only!r} is not allowed; it is True or False")
    return Experiment(
        name=name or path.stem,
        path=path,
        doc=(module.__doc__ or "").strip(),
        config=module.Config,
        run=module.run,
        quick=dict(quick),
        batching=_batching(module, path),
        cpu_only=cpu_only,
    )


def returned(recording: Any) -> xr.Dataset:
    """What an experiment returned, if it is a recording.

    Raises
    ------
    TypeError
        It is something else.
    """
    import xarray as xr

    if not isinstance(recording, xr.Dataset):
        raise TypeError(f"run returned {type(recording).__name__}, not the recording (an xarray.Dataset)")
    return recording


def _batching(module: ModuleType, path: Path) -> Batching | None:
    declared = getattr(module, "BATCHABLE", ())
    if not isinstance(declared, (tuple, list)):
        raise ConfigError(
            f"{path}: BATCHABLE={declared!r} is not allowed; give a tuple of names, e.g. ('tau',)"
        )
    parameters = tuple(declared)
    if not parameters:
        return None
    _check_fields(module, path, "BATCHABLE", parameters)
    missing = [name for name in ("run_batch", "point_bytes") if not hasattr(module, name)]
    if missing:
        raise ConfigError(f"{path} declares BATCHABLE without {' and '.join(missing)}; define both")
    return Batching(parameters, module.run_batch, module.point_bytes)


def _check_fields(module: ModuleType, path: Path, declared: str, names: Iterable[str]) -> None:
    known = tuple(module.Config.model_fields)
    for name in names:
        if name not in known:
            raise ConfigError(f"{path}: {declared} has an {unknown('field', name, known)}")
