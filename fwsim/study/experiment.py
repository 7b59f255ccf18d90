"""An experiment: the file's question, its `Config` and its `run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fwsim.errors import ConfigError
from fwsim.study import files
from fwsim.study.config import Config
from fwsim.study.context import Context
from fwsim.study.names import unknown

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Experiment:
    """A loaded experiment file.

    Parameters
    ----------
    name
        Stem of the file, or the name under which a run keeps its copy.
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
    """

    name: str
    path: Path
    doc: str
    config: type[Config]
    run: Callable[[Any, Context], xr.Dataset]
    quick: Mapping[str, Any]

    @property
    def question(self) -> str:
        """First line of the docstring."""
        return files.question(self.doc)

    def configure(self, values: Mapping[str, Any], *, quick: bool = False) -> Config:
        """Build the configuration: defaults, then `QUICK` when asked for, then `values`.

        Raises
        ------
        ConfigError
            A value is not allowed, or the experiment declares no `QUICK`.
        """
        return self.config(**{**self.overrides(quick), **values})

    def overrides(self, quick: bool) -> Mapping[str, Any]:
        """Overrides of the defaults that `quick` asks for."""
        if quick and not self.quick:
            raise ConfigError(f"{self.name} declares no QUICK overrides; run it without --quick")
        return self.quick if quick else {}


def load_experiment(given: str | Path | ModuleType | Experiment, name: str | None = None) -> Experiment:
    """Experiment by name, path or module.

    Parameters
    ----------
    given
        A name from `fwsim list`, a path, an imported module, or an experiment.
    name
        To call it otherwise than its file.

    Raises
    ------
    ConfigError
        Not found, does not load, or lacks `Config` or `run`.
    """
    if isinstance(given, Experiment):
        return given
    if isinstance(given, ModuleType):
        module, path = given, Path(str(given.__file__))
    else:
        path = files.find(given)
        module = files.load(path, ("Config", "run"))
    if not (isinstance(module.Config, type) and issubclass(module.Config, Config)):
        raise ConfigError(f"{path}: Config must be a subclass of fwsim.study.Config")
    quick = getattr(module, "QUICK", {})
    for key in quick:
        if key not in module.Config.model_fields:
            raise ConfigError(
                f"{path}: QUICK has an {unknown('field', key, tuple(module.Config.model_fields))}"
            )
    return Experiment(
        name=name or path.stem,
        path=path,
        doc=(module.__doc__ or "").strip(),
        config=module.Config,
        run=module.run,
        quick=dict(quick),
    )
