"""Batches of tensors in any lists, tuples, mappings and dataclasses.

`apply_to_collection` of lightning would do this, but it refuses frozen dataclasses, which batches of tasks are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")


def mapped(function: Callable[[Tensor], Tensor], batch: T) -> T:
    """A batch with each of its tensors replaced; everything else is unchanged."""
    return _mapped(function, batch)


def tensors(batch: Any) -> list[Tensor]:
    """All tensors of a batch."""
    found: list[Tensor] = []

    def note(each: Tensor) -> Tensor:
        found.append(each)
        return each

    mapped(note, batch)
    return found


def moved(batch: T, device: torch.device) -> T:
    """A batch on a device. Transfers from CPU to GPU use pinned memory, so that nothing waits for them."""
    from fwsim.engine.transfer import to_device

    if all(each.device == device for each in tensors(batch)):
        return batch
    return mapped(lambda each: to_device(each, device), batch)


def _mapped(function: Callable[[Tensor], Tensor], batch: Any) -> Any:
    from torch import Tensor

    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {name: _mapped(function, each) for name, each in batch.items()}
    if isinstance(batch, list | tuple):
        parts = [_mapped(function, each) for each in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if is_dataclass(batch) and not isinstance(batch, type):
        values = {each.name: getattr(batch, each.name) for each in fields(batch) if each.init}
        return replace(batch, **_mapped(function, values))
    return batch
