"""What networks and their states show of themselves in a notebook."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING

from fwsim import notebook
from fwsim.engine.network import FastWeightNetwork
from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.state import State

if TYPE_CHECKING:
    from torch import nn

MATRICES = 4  # that the figure shows


def fast_weight_html(net: FastWeightNetwork) -> str:
    """Equations, sizes and options, weights, and the memory rule."""
    rows = [
        ("inputs", net.inputs, "channels"),
        ("units", net.units, ""),
        ("inner_steps", net.inner_steps, "iterations"),
        ("dt", net.dt, "s"),
        *((name, getattr(net, name), "") for name in ("activation", "normalise", "self_connections")),
        ("write", net.write_order, ""),
        *((name, value, "") for name, value in net.wiring.described().items() if net.wiring.special),
        *_parameters(net),
    ]
    rule = net.memory
    return notebook.card(
        net,
        notebook.formula(type(net)),
        notebook.table(("", "value", "unit"), rows),
        notebook.panels(notebook.heat(net.W, "W", "pre", "post"), notebook.heat(net.C, "C", "input", "unit")),
        "no memory" if rule is None else notebook.details("memory", rule._repr_html_()),
    )


def rate_network_html(net: RateNetwork) -> str:
    """Equations, sizes and options, projections with weights and rules, and the memory rule."""
    rows = [
        ("units", net.units, ""),
        ("tau", net.tau, "s"),
        ("dt", net.dt, "s"),
        ("noise", net.noise, "unit of h"),
        ("gain", _name(net.gain), ""),
        ("normalise", "none" if net.normalise is None else _name(net.normalise), ""),
        *_parameters(net),
    ]
    synapses = [each.synapse for each in net.projections]
    projections = [
        (place, weights, "static" if synapse is None else type(synapse).__name__)
        for place, (weights, synapse) in enumerate(zip(net.weights, synapses))
    ]
    first = [weights if weights.ndim == 2 else weights[0] for weights in net.weights][:MATRICES]
    rules = {type(each).__name__: each for each in (*synapses, net.memory) if each is not None}
    return notebook.card(
        net,
        notebook.formula(type(net)),
        notebook.table(("", "value", "unit"), rows),
        notebook.table(("projection", "weights", "synapse"), projections),
        notebook.panels(
            *(notebook.heat(w, f"projection {place}", "pre", "post") for place, w in enumerate(first))
        ),
        *(notebook.details(name, rule._repr_html_()) for name, rule in rules.items()),
    )


def state_html(state: State) -> str:
    """Sizes, and the hidden state and memory of the first trial."""
    memory = state.memory
    carried = {"hidden": state.hidden, "memory": memory, **state.variables}
    rows = [(name, value) for name, value in carried.items() if value is not None]
    panels = [notebook.heat(state.hidden, "hidden", "unit", "trial")]
    if memory is not None and len(memory):
        panels.append(notebook.heat(memory[0].sum(0), "memory, trial 0", "pre", "post"))
    return notebook.card(
        state,
        f"after step {state.step}",
        notebook.table(("variable", "values"), rows),
        notebook.panels(*panels),
    )


def _parameters(net: nn.Module) -> list[tuple[str, object, str]]:
    trained = sum(each.numel() for each in net.parameters() if each.requires_grad)
    like = next(net.parameters())
    return [
        ("trainable parameters", trained, ""),
        ("precision, device", f"{like.dtype}, {like.device}".removeprefix("torch."), ""),
    ]


def _name(function: object) -> str:
    return (
        repr(function) if is_dataclass(function) else getattr(function, "__name__", type(function).__name__)
    )
