"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any, ParamSpec, Self, TypeVar

import lazy_loader

from fwsim.errors import ConfigError, FwsimError

P = ParamSpec("P")
R = TypeVar("R")


class ArgumentError(ConfigError, TypeError):
    """An unknown keyword of a function or a class."""


class KnownArguments:
    """A class that answers unknown keywords with the nearest correct one.

    Its subclasses keep their own signature, since `__init__` comes before this `__new__` in their order of bases.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Check the names of keywords before `__init__` is called."""
        if kwargs:
            _check(cls.__name__, cls.__init__, kwargs)
        return super().__new__(cls)


def known_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function answer unknown keywords with the nearest correct one."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs:
            _check(function.__name__, function, kwargs)
        return function(*args, **kwargs)

    return called


def nearest(given: str, legal: Iterable[str]) -> str | None:
    """The correct name nearest to a misspelled one, ignoring case."""
    names = {name.lower(): name for name in legal}
    close = difflib.get_close_matches(given.lower(), names, n=1)
    return names[close[0]] if close else None


def unknown(kind: str, given: str, known: tuple[str, ...]) -> str:
    """One line for an unknown name, with the closest known ones."""
    close = difflib.get_close_matches(given, known, n=3)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known) or 'none'}"
    )
    return f"unknown {kind} {given!r}; {hint}"


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Import the public names of a package when they are first used, as listed in its stub; see `lazy_loader`.

    If another package that a name needs cannot be imported, it raises `ConfigError`, one line with the remedy.
    """
    load, names, public = lazy_loader.attach_stub(package, file)

    def get(name: str) -> Any:
        if name in public or name.startswith("_"):
            return _loaded(load, package, name)
        raise _no_attribute(package, name, public)

    return get, names, public


def suggestions(module: str) -> Callable[[str], Any]:
    """`__getattr__` of a module without a stub: an unknown name is answered with the nearest one that it has."""

    def get(name: str) -> Any:
        raise _no_attribute(
            module, name, [each for each in vars(sys.modules[module]) if not each.startswith("_")]
        )

    return get


def _no_attribute(module: str, name: str, public: Iterable[str]) -> AttributeError:
    guess = nearest(name, public)
    hint = f"did you mean {guess}?" if guess else f"dir({module}) lists what there is"
    return AttributeError(f"{module} has no {name}; {hint}", name=name, obj=sys.modules[module])


def _loaded(load: Callable[[str], Any], package: str, name: str) -> Any:
    try:
        return load(name)
    except FwsimError:
        raise
    except Exception as error:
        from fwsim.requirements import culprit, failure

        if (module := culprit(error)) is None:
            raise
        raise ConfigError(failure(module, f"{package}.{name}", error)) from error


def _check(owner: str, function: Any, given: Iterable[str]) -> None:
    legal = _keywords(function)
    if legal is None:
        return
    for name in given:
        if name not in legal:
            guess = nearest(name, legal)
            hint = f"did you mean {guess}? " if guess else ""
            raise ArgumentError(f"{owner} has no {name}=; {hint}it takes {', '.join(legal) or 'nothing'}")


@cache
def _keywords(function: Any) -> tuple[str, ...] | None:
    """Keywords of a function, `None` if it accepts any."""
    parameters = list(inspect.signature(function).parameters.values())
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(each.name for each in parameters if each.kind in by_name and each.name != "self")
