"""State of a running Brian2 network as plain arrays, with random streams, to continue in another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fwsim.spiking.random_state import random_state, set_random_state


def capture(network: Any) -> dict[str, np.ndarray]:
    """All variables that change while the network runs; constants are made again from circuit and seed.

    `Network.store` would store the constants as well, and pickle them.
    """
    state = {each.name: _changing(each) for each in _owners(network)}
    arrays: list[np.ndarray] = []
    text = json.dumps(_listed([state, random_state()], arrays))
    found = {str(number): array for number, array in enumerate(arrays)}
    return found | {"structure": np.frombuffer(text.encode(), np.uint8)}


def restore(network: Any, snapshot: Mapping[str, np.ndarray], time: float) -> None:
    """Restore a new network, made in the same way, to the state of a snapshot from `time` in s."""
    structure = json.loads(snapshot["structure"].tobytes().decode())
    state, random = _arranged(structure, snapshot)
    for each in _owners(network):
        each._restore_from_full_state(state[each.name])
    set_random_state(random)
    network.t_ = time


def _owners(network: Any) -> list[Any]:
    from brian2.core.network import _get_all_objects

    return [each for each in _get_all_objects(network.objects) if hasattr(each, "_full_state")]


def _changing(owner: Any) -> dict[str, Any]:
    """Variables in `owner._full_state()` that are not constant."""
    full = owner._full_state()
    constant = {name for name in full if name in owner.variables and owner.variables[name].constant}
    return {name: value for name, value in full.items() if name not in constant}


def _listed(value: Any, arrays: list[np.ndarray]) -> Any:
    """The value as JSON, with arrays stored separately."""
    if isinstance(value, dict):
        return {name: _listed(part, arrays) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_listed(part, arrays) for part in value]
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    return value.item() if isinstance(value, np.generic) else value


def _arranged(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Inverse of `_listed`."""
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[str(value["array"])]
        return {name: _arranged(part, arrays) for name, part in value.items()}
    return [_arranged(part, arrays) for part in value] if isinstance(value, list) else value
