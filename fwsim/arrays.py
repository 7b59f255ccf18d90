"""Arrays from users whose values are not what they seem: masked, without numbers, with axes in another order."""

from __future__ import annotations

from typing import Any

from fwsim.errors import ConfigError, ShapeError


def as_they_are(name: str, given: Any, axes: tuple[str, ...] = ()) -> None:
    """Raise unless the values of an array may be taken as they are; anything that is no array passes.

    Parameters
    ----------
    name
        What messages call it.
    given
        What the user handed in.
    axes
        Names of its axes in the order that is needed: a DataArray may have others, but these in this order.

    Raises
    ------
    ConfigError
        Entries of a masked array are masked, or a tensor is on the device meta, which holds no numbers.
    ShapeError
        A DataArray has these axes in another order.
    """
    short = name.rpartition(": ")[2]
    if hasattr(given, "filled") and getattr(given, "mask", None) is not None and given.mask.any():
        raise ConfigError(f"{name} has masked entries; leave them out, or fill them: {short}.filled(0)")
    if getattr(given, "is_meta", False):
        raise ConfigError(
            f"{name} is a tensor on the device 'meta', which holds no numbers; give one on 'cpu'"
        )
    found = [str(dim) for dim in getattr(given, "dims", ()) if str(dim) in axes] if axes else []
    if found != sorted(found, key=axes.index):
        raise ShapeError(
            f"{name} has dimensions [{', '.join(map(str, given.dims))}]; give [{', '.join(axes)}]: "
            f"{short}.transpose({', '.join(repr(dim) for dim in axes if dim in found)})"
        )
