"""Command-line options of an experiment: its configuration's fields and how to run it."""

from __future__ import annotations

import copy
import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import App, CycloptsError, Parameter
from pydantic import BeforeValidator, ValidationError, create_model
from pydantic.fields import FieldInfo

from fwsim.errors import ConfigError
from fwsim.study.config import Config, explain, unit_of
from fwsim.study.experiment import Experiment
from fwsim.study.names import unknown


@dataclass(frozen=True)
class Settings:
    """How an experiment is run, apart from its configuration.

    Parameters
    ----------
    seed
        From which every random stream is derived.
    device
        Where to compute: auto, cpu, cuda, cuda:1.
    quick
        Use the experiment's small values, to see that it works.
    config
        Values from a TOML or JSON file, or a run.json; options win over it, it wins over --quick.
    to
        Folder of the run, instead of runs/NAME-DATE-TIME-SEED.
    force
        Replace a run that is in the folder.
    analyse
        Analyse the recording afterwards.
    """

    seed: int = 0
    device: str = "auto"
    quick: Annotated[bool, Parameter(negative="")] = False
    config: Annotated[Path | None, Parameter(show_default=False)] = None
    to: Annotated[Path | None, Parameter(show_default=False)] = None
    force: Annotated[bool, Parameter(negative="")] = False
    analyse: bool = True


RESERVED = tuple(field.name for field in dataclasses.fields(Settings))


def parse(experiment: Experiment, tokens: list[str]) -> tuple[Config, Settings] | None:
    """Configuration and settings that the command line asks for; None after printing help.

    Raises
    ------
    ConfigError
        An option, value, key or file is not allowed, or a field is named like a setting.
    """
    taken = [name for name in experiment.config.model_fields if name in RESERVED]
    if taken:
        raise ConfigError(
            f"{experiment.path}: field {taken[0]!r} is also an option of 'fwsim run'; rename the field"
        )
    try:
        settings = _settings_alone([token for token in tokens if token not in ("--help", "-h")])
        values = _read(settings.config, experiment) if settings.config else {}
        app = _app(experiment, {**experiment.overrides(settings.quick), **values})
        parsed = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigError(_explain(error, experiment.config)) from None
    if parsed is None:
        return None
    options, settings = parsed
    given = options.model_dump(exclude_unset=True) if options else {}
    return experiment.configure({**values, **given}, quick=settings.quick), settings


def _explain(error: CycloptsError, config: type[Config]) -> str:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return str(error)
    name = error.argument.field_info.name if error.argument else None
    return explain(cause, config, name if name in config.model_fields else None)


def _settings_alone(tokens: list[str]) -> Settings:
    """Settings among other options, needed before the rest to know the defaults."""
    app = App(version_flags=[], result_action="return_value")

    @app.default
    def read(*, settings: Annotated[Settings, Parameter(name="*")] = Settings()) -> None: ...

    _, bound, _, _ = app.parse_known_args(tokens)
    return bound.arguments.get("settings", Settings())


def _app(experiment: Experiment, defaults: Mapping[str, Any]) -> App:
    """Command line of one experiment, with help that shows units and these defaults."""
    fields: dict[str, Any] = {
        name: _option(field, defaults.get(name, ...))
        for name, field in experiment.config.model_fields.items()
    }
    options = create_model(experiment.config.__name__, __base__=experiment.config, **fields)
    app = App(
        name=f"fwsim run {experiment.name}",
        help=_reflow(experiment.doc),
        help_format="plaintext",
        help_epilogue=_examples(experiment),
        version_flags=[],
        default_parameter=Parameter(consume_multiple=True, negative_iterable=(), show_default=_typed),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    app["--help"].group = "Run"

    def read(*, config: Any = None, settings: Any = Settings()) -> tuple[Any, Settings]:
        return config, settings

    read.__annotations__ = {
        "config": Annotated[options | None, Parameter(name="*", group="Configuration")],
        "settings": Annotated[Settings, Parameter(name="*", group="Run")],
    }
    app.default(read)
    return app


def _option(field: FieldInfo, default: Any) -> tuple[Any, FieldInfo]:
    """Type and description of a field as an option, with its unit and perhaps another default."""
    option = copy.copy(field)
    unit = unit_of(field)
    example = {"s": "200ms", "Hz": "20Hz", "V": "-70mV"}
    changes: dict[str, Any] = {}
    if unit:
        changes["description"] = f"{field.description} In {unit}, or with a unit: {example[unit]}."
    if default is not ...:
        changes["default"] = default
    for name, value in changes.items():
        setattr(option, name, value)
    option._attributes_set = {**field._attributes_set, **changes}
    return readable(field.annotation), option


def readable(annotation: Any) -> Any:
    """Let the text of an option choose among numbers: pydantic matches Literal[1, 2] by value only."""
    if get_origin(annotation) is Literal:
        texts = {str(value): value for value in get_args(annotation)}
        return Annotated[annotation, BeforeValidator(lambda given: texts.get(given, given))]
    return annotation


def _typed(default: Any) -> str:
    """Write a default as one would type it."""
    if isinstance(default, (tuple, list)):
        return " ".join(map(_typed, default)) or "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"{default:.6g}" if isinstance(default, float) else str(default)


def _reflow(text: str) -> str:
    """Join the lines of each paragraph, so that the terminal breaks them; indented ones stay."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if "\n " in part else " ".join(part.split("\n")) for part in paragraphs)


def _examples(experiment: Experiment) -> str:
    start = f"fwsim run {experiment.name}"
    lines = [f"{start} --quick"] if experiment.quick else [f"{start} --seed 3"]
    for name, field in experiment.config.model_fields.items():
        if (
            not field.is_required()
            and isinstance(field.default, (int, float))
            and not isinstance(field.default, bool)
        ):
            lines.append(f"{start} --{name.replace('_', '-')} {field.default} --seed 3 --to runs/mine")
            break
    return "Examples:\n" + "\n".join(f"  {line}" for line in lines)


def _read(path: Path, experiment: Experiment) -> dict[str, Any]:
    """Values of a configuration file."""
    readers: dict[str, Any] = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise ConfigError(
            f"--config {path}: unknown kind of file {path.suffix!r}; give a .toml or .json file"
        )
    try:
        values = readers[path.suffix](path.read_text())
    except OSError as error:
        raise ConfigError(
            f"--config {path} cannot be read: {error.strerror}; give an existing file"
        ) from None
    except ValueError as error:
        raise ConfigError(f"--config {path} is not valid {path.suffix[1:].upper()}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path} holds no fields; write e.g. units = 20")
    if "fwsim_run" in values:
        values = values["configuration"]
    known = tuple(experiment.config.model_fields)
    for name in values:
        if name not in known:
            raise ConfigError(f"--config {path}: {unknown('field', name, known)}")
    return values
