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

PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
ANSWERS = "_answers"  # attribute of functions that answer wrong arguments


class ArgumentError(ConfigError, TypeError):
    """Arguments that a function or a class does not take: an unknown keyword, one missing, too many."""


class KnownArguments:
    """A class that answers wrong arguments as `known_arguments` does.

    Its subclasses keep their own signature, since `__init__` comes before this `__new__` in their order of bases.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Prepare `__init__`, which Python calls next; copies and pickles come here without arguments."""
        if not hasattr(cls.__init__, ANSWERS):
            setattr(cls, "__init__", known_arguments(cls.__init__))  # noqa: B010  # dataclasses make it late
        return super().__new__(cls)


def known_arguments(function: Callable[P, R], method: str | None = None) -> Callable[P, R]:
    """Make a function answer wrong arguments in one line: an unknown keyword with the nearest correct one.

    Parameters
    ----------
    function
        What is called.
    method
        Name under which it is a method, whose first argument users do not write.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            name, bound = method or function.__name__, method is not None
            if (said := _wrong_arguments(name, function, args, kwargs, bound=bound)) is None:
                raise
        raise ArgumentError(said)  # here, so that no second traceback is shown

    setattr(called, ANSWERS, True)
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


def _wrong_arguments(
    owner: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, bound: bool = False
) -> str | None:
    """What is wrong with the arguments of a call; `None` if a function can be called with them."""
    expected = _parameters(function)
    if owner == "__init__":
        owner, bound = type(args[0]).__name__, True
    if bound:  # the object itself, which nobody writes
        args, expected = args[1:], expected[1:]
    by_place = [each.name for each in expected if each.kind in PLACED]
    by_name = [each.name for each in expected if each.kind in NAMED]
    takes = f"it takes {', '.join(dict.fromkeys(by_place + by_name)) or 'nothing'}"
    if not _has(expected, inspect.Parameter.VAR_KEYWORD):
        for name in (name for name in kwargs if name not in by_name):
            guess = nearest(name, by_name)
            return f"{owner} has no {name}=; {f'did you mean {guess}? ' if guess else ''}{takes}"
    if len(args) > len(by_place) and not _has(expected, inspect.Parameter.VAR_POSITIONAL):
        number = f"{len(args)} argument{'' if len(args) == 1 else 's'}"
        return f"{owner} is called with {number}; {_too_many(by_place, by_name)}"
    given = by_place[: len(args)]
    for name in (name for name in given if name in kwargs and name in by_name):
        return f"{owner} has multiple values for {name}, one of them without its name; give one"
    missing = [
        each.name
        for each in expected
        if each.default is each.empty
        and each.kind in (*PLACED, *NAMED)
        and each.name not in (*given, *kwargs)
    ]
    if missing:
        return f"{owner} needs {' and '.join(missing)}; {takes}"
    return None


def _has(expected: Iterable[inspect.Parameter], kind: Any) -> bool:
    return any(each.kind is kind for each in expected)


def _too_many(by_place: list[str], by_name: list[str]) -> str:
    """What a function takes instead of too many arguments."""
    more = ", ".join(f"{name}=" for name in by_name if name not in by_place)
    some = f"it takes {', '.join(by_place) or 'none'}"
    return f"{some}, and by name {more}" if more else some


@cache
def _parameters(function: Any) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())
