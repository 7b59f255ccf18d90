"""The equations of Ba et al. 2016 as loops over single numbers, for one sequence: nothing shared with fwsim."""

import numpy as np


def layer_norm(field, gain, bias):
    return gain * (field - field.mean()) / np.sqrt(field.var() + 1e-5) + bias


def fast_weights(x, W, C, b, gain, bias, decays, etas, steps, f=lambda v: np.maximum(v, 0.0)):
    """x [time, input] → hidden [time, unit], inner [time, iteration, unit], memories [time, timescale, post, pre]."""
    units = len(b)
    hidden = np.zeros(units)
    memory = np.zeros((len(decays), units, units))
    all_hidden, all_inner, all_memory = [], [], []
    for value in x:
        z = W @ hidden + C @ value + b
        inner = [f(z)]
        for _ in range(steps):
            inner.append(f(layer_norm(z + sum(A @ inner[-1] for A in memory), gain, bias)))
        hidden = inner[-1]
        for k in range(len(decays)):
            memory[k] = decays[k] * memory[k] + etas[k] * np.outer(hidden, hidden)
        all_hidden.append(hidden)
        all_inner.append(inner)
        all_memory.append(memory.copy())
    return np.array(all_hidden), np.array(all_inner), np.array(all_memory)
