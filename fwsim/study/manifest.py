"""`run.json`: the settings and the state of a run, checked whenever it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from fwsim.errors import ConfigError, short
from fwsim.paths import read_plain_file
from fwsim.study import files, signatures, writing

FILE = files.MANIFEST
FORMAT = 2
FORMATS = (1, 2)  # that can be read; 1 had no digest of its own
MOST = 2**28  # bytes; the plan of the largest sweeps takes tens of 2**20
State = Literal["running", "finished", "failed", "interrupted"]
STATES: tuple[str, ...] = get_args(State)

Count = Annotated[int, Field(ge=0)]
Texts = dict[str, str]
Name = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f\x7f]+$")]
Time = Annotated[str, Field(pattern=r"^[0-9T:.+Z -]{1,40}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Axis(_Strict):
    names: Annotated[list[str], Field(min_length=1)]
    rows: Annotated[list[list[Any]], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_row_has_all_values(self) -> _Axis:
        if any(len(row) != len(self.names) for row in self.rows):
            raise PydanticCustomError("rows", "a row has more or fewer values than the axis has names")
        return self


class _Plan(_Strict):
    axes: list[_Axis]
    seeds: Annotated[list[Count], Field(min_length=1)]
    memory: Annotated[float, Field(gt=0)]
    size: Annotated[int, Field(ge=1)] | None


class _Resumed(_Strict):
    started: Time


class _Manifest(_Strict):
    """Entries that every command may rely on; further entries are preserved."""

    experiment: Name
    question: str
    source_sha256: str
    analysis_sha256: str | None = None
    state: State
    seed: Count
    device: str
    processes: Annotated[int, Field(ge=1)] = 1
    configuration: dict[str, Any]
    versions: Texts
    commit: str
    command: str
    started: Time
    finished: Time | None = None
    error: str | None = None
    recording: Literal["whole", "streamed"] | None = None
    resumed: list[_Resumed] = []
    replaces: list[Name] = []
    digests: str | None = None
    signature: str | None = None


class _Sweep(_Manifest):
    sweep: _Plan
    points: Count
    failed: Count
    wall_time: float = 0.0


def read(folder: Path) -> dict[str, Any]:
    """Read the manifest of a run.

    Raises
    ------
    ConfigError
        The folder is no run, or one of another format, or `run.json` was damaged or changed.
    """
    path = folder / FILE
    try:
        manifest = json.loads(read_plain_file(path, most=MOST))
        form = manifest["fwsim_run"]
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)[:100]
        reason = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else reason
        raise ConfigError(
            f"{path} is damaged and no JSON: {reason}; restore it from a copy, or run again"
        ) from None
    except PermissionError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; ask the owner for permission") from None
    except (OSError, TypeError, KeyError):
        raise ConfigError(f"{folder} is not a run; give a folder with a {FILE} that fwsim wrote") from None
    if form not in FORMATS or isinstance(form, bool):
        raise ConfigError(
            f"{path} has format {short(form)} and this fwsim reads {FORMAT}; use the version that wrote it"
        )
    try:
        if form > 1 and manifest.get("sha256") != digest(manifest):
            raise ConfigError(
                f"{path} was damaged or changed since fwsim wrote it; restore it from a copy, or run again"
            )
        (_Sweep if "sweep" in manifest else _Manifest).model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path} is damaged: {place}: {first['msg']}; restore it from a copy, or run again"
        ) from None
    except RecursionError:
        raise ConfigError(
            f"{path} is damaged: nested too deep; restore it from a copy, or run again"
        ) from None
    return manifest


def write(folder: Path, entries: Mapping[str, Any]) -> None:
    """Write a manifest with its own digest and the user's signature, in one step."""
    plain = json.loads(json.dumps({"fwsim_run": FORMAT, **entries}))  # as it will be read
    signed = {**plain, "fwsim_run": FORMAT, "signature": signatures.sign(_content(plain), folder)}
    content = {**signed, "sha256": digest(signed)}
    writing.write_file(folder / FILE, json.dumps(content, indent=2) + "\n")


def is_a_run(folder: Path) -> ConfigError:
    """The error about the folder of a run, into which nothing else is written."""
    return ConfigError(f"{folder} is a run; choose another place with --to")


def is_own(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether this user wrote the manifest of a folder."""
    return signatures.is_own(_content(manifest), folder, manifest.get("signature"))


def digest(entries: Mapping[str, Any]) -> str:
    """SHA-256 of all entries except the digest."""
    return hashlib.sha256(_canonical(entries, "sha256")).hexdigest()


def _content(entries: Mapping[str, Any]) -> bytes:
    """The content that is signed."""
    return _canonical(entries, "sha256", "signature")


def _canonical(entries: Mapping[str, Any], *without: str) -> bytes:
    """Entries as bytes that do not depend on the layout of the file."""
    kept = {name: value for name, value in entries.items() if name not in without}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()
