"""Command-line options of an experiment: its configuration's fields, and how to run it."""

from __future__ import annotations

import copy
import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo

from fwsim.errors import ConfigError
from fwsim.names import unknown
from fwsim.paths import plain_text
from fwsim.study.config import Config, explain, readable, spread, unit_of
from fwsim.study.experiment import Experiment
from fwsim.study.settings import RunSettings, Settings, SweepSettings
from fwsim.study.sweeps.axes import parse_seeds
from fwsim.study.usage import with_negative_values, wrong_use

S = TypeVar("S", bound=Settings)


def parse(experiment: Experiment, tokens: list[str], kind: type[S]) -> tuple[Config, S] | None:
    """Configuration and settings of a `kind` from the command line; None after printing help.

    Raises
    ------
    ConfigError
        An option, value, key or file is not allowed, or a field has the name of a setting.
    """
    reserved = {field.name for field in dataclasses.fields(RunSettings)}
    taken = [name for name in experiment.config.model_fields if name in reserved]
    if taken:
        raise ConfigError(
            f"{experiment.path}: field {taken[0]!r} is also an option of 'fwsim {kind.command}'; rename the field"
        )
    tokens = with_negative_values(tokens)
    try:
        settings = _settings_alone(kind, [token for token in tokens if token not in ("--help", "-h")])
        values = _read(settings.config, experiment) if settings.config else {}
        defaults = spread(experiment.config, {**experiment.overrides(settings.quick), **values})
        app = _app(experiment, kind, defaults)
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
        return wrong_use(error)
    name = error.argument.field_info.name if error.argument else None
    return explain(cause, config, name if name in config.model_fields else None)


def _settings_alone(kind: type[S], tokens: list[str]) -> S:
    """Settings among other options; they are needed first, to know the defaults."""
    app, default = App(version_flags=[], result_action="return_value"), kind()

    def read(*, settings: Any = default) -> None: ...

    read.__annotations__ = {"settings": Annotated[kind, Parameter(name="*")]}
    app.default(read)
    _, bound, _, _ = app.parse_known_args(tokens)
    return bound.arguments.get("settings", default)


def _app(experiment: Experiment, kind: type[Settings], defaults: Mapping[str, Any]) -> App:
    """Command line of one experiment, whose help shows units and these defaults."""
    fields: dict[str, Any] = {
        name: _option(field, defaults.get(name, ...))
        for name, field in experiment.config.model_fields.items()
    }
    for name in fields.keys() & {
        setting.name for setting in dataclasses.fields(kind)
    }:  # set by --over or --config
        fields[name] = (Annotated[fields[name][0], Parameter(parse=False)], fields[name][1])
    options = create_model(experiment.config.__name__, __base__=experiment.config, **fields)
    app = App(
        name=f"fwsim {kind.command} {experiment.name}",
        help=_reflow(experiment.doc),
        help_format="plaintext",
        help_epilogue=_examples(experiment, kind),
        version_flags=[],
        default_parameter=Parameter(consume_multiple=True, negative_iterable=(), show_default=_typed),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    title, default_settings = kind.command.capitalize(), kind()
    app["--help"].group = title

    def read(*, config: Any = None, settings: Any = default_settings) -> tuple[Any, Settings]:
        return config, settings

    read.__annotations__ = {
        "config": Annotated[options | None, Parameter(name="*", group="Configuration")],
        "settings": Annotated[kind, Parameter(name="*", group=title)],
    }
    app.default(read)
    return app


def _option(field: FieldInfo, default: Any) -> tuple[Any, FieldInfo]:
    """Type and description of a field as an option, with its unit and possibly another default."""
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


def _typed(default: Any) -> str:
    """A default in the form in which a user would type it."""
    if isinstance(default, (tuple, list)):
        return " ".join(map(_typed, default)) or "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"{default:.6g}" if isinstance(default, float) else str(default)


def _reflow(text: str) -> str:
    """Join the lines of each paragraph, so that the terminal wraps them; indented lines remain."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if "\n " in part else " ".join(part.split("\n")) for part in paragraphs)


def _examples(experiment: Experiment, kind: type[Settings]) -> str:
    start = f"fwsim {kind.command} {experiment.name}"
    lines = [f"{start} --quick"] if experiment.quick else [f"{start} {kind.example}"]
    option = _example(experiment, kind)
    if option:
        lines.append(f"{start} {option} {kind.example} --to runs/mine")
    return "Examples:\n" + "\n".join(f"  {line}" for line in lines)


def _example(experiment: Experiment, kind: type[Settings]) -> str | None:
    """Option for the first field that is a number; None if there is none."""
    for name, field in experiment.config.model_fields.items():
        default = None if field.is_required() else field.default
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            swept = kind is SweepSettings
            return (
                f"--over {name}={default},{2 * default}" if swept else f"--{name.replace('_', '-')} {default}"
            )
    return None


def check_swept(experiment: Experiment, settings: SweepSettings) -> None:
    """Refuse a sweep over nothing.

    Raises
    ------
    ConfigError
        There is only one point.
    """
    if not settings.over and len(parse_seeds(settings.seeds)) == 1:
        example = _example(experiment, SweepSettings) or SweepSettings.example
        raise ConfigError(
            f"nothing to sweep over; give --over or --seeds, e.g. fwsim sweep {experiment.name} {example}"
        )


def _read(path: Path, experiment: Experiment) -> dict[str, Any]:
    """Values of a configuration file."""
    readers: dict[str, Any] = {".toml": tomllib.loads, ".json": json.loads}
    kind = path.suffix.lower()
    if path.is_dir():
        raise ConfigError(f"--config {path} is a folder; give a .toml or .json file")
    if kind not in readers:
        raise ConfigError(
            f"--config {path}: unknown kind of file {path.suffix!r}; give a .toml or .json file"
        )
    text = plain_text(path, "--config")
    try:
        values = readers[kind](text)
    except ValueError as error:
        raise ConfigError(f"--config {path} is not valid {kind[1:].upper()}: {error}") from None
    except RecursionError:
        raise ConfigError(
            f"--config {path} is nested too deep; give one value or list for each field"
        ) from None
    if isinstance(values, dict) and "fwsim_run" in values:
        values = values.get("configuration")
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path} holds no fields; write e.g. units = 20, or give a whole run.json")
    known = tuple(experiment.config.model_fields)
    for name in values:
        if name not in known:
            raise ConfigError(f"--config {path}: {unknown('field', name, known)}")
    return values
