"""Trial tasks of neurogym as supervised tasks: batches of inputs and right answers.

neurogym itself is not imported: an environment that it made is given. It needs other versions of gymnasium and NumPy
than fwsim's extra `rl`, so it has no extra here; `pip install neurogym`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fwsim.errors import ConfigError, whole
from fwsim.names import known_arguments
from fwsim.seeds import check_seed

LARGEST = 2**31  # seeds of environments are smaller


class SupervisedTrials(NamedTuple):
    """Trials of one batch, padded at their end to the longest one.

    Parameters
    ----------
    inputs
        `[trial, time, input]`; 0 behind the end of a trial.
    target
        Right answers, `[trial, time]` in whole numbers, or `[trial, time, output]` where answers are continuous.
    weight
        1 in the steps of a trial and 0 behind its end, `[trial, time]`.
    """

    inputs: Tensor
    target: Tensor
    weight: Tensor

    def to(self, device: torch.device | str) -> SupervisedTrials:
        """Return the trials on a device."""
        return SupervisedTrials(*(each.to(device) for each in self))


@known_arguments
def supervised(environment: Any, trials: int, seed: int) -> SupervisedTrials:
    """Draw trials of an environment of neurogym.

    Parameters
    ----------
    environment
        What `neurogym.make("DelayMatchSample-v0", dt=20)` returns, or any other object that has `seed`, `new_trial`,
        `ob` and `gt` as neurogym's `TrialEnv` has them.
    trials
        Number of trials.
    seed
        Of the environment's random numbers; the same seed gives the same trials.

    Raises
    ------
    ConfigError
        The environment is not one of trials, or says nothing of what is right.
    """
    whole("trials", trials, least=1)
    check_seed(seed)
    env = getattr(environment, "unwrapped", environment)
    missing = [name for name in ("seed", "new_trial") if not callable(getattr(env, name, None))]
    if missing:
        raise ConfigError(
            f"environment={type(env).__name__} has no {missing[0]}(); give an environment of neurogym with trials, "
            'such as neurogym.make("DelayMatchSample-v0")'
        )
    env.seed(seed % LARGEST)
    drawn = [_trial(env) for _ in range(trials)]
    longest = max(len(inputs) for inputs, _ in drawn)
    weight = torch.zeros(trials, longest)
    for row, (inputs, _) in enumerate(drawn):
        weight[row, : len(inputs)] = 1
    inputs, target = (_padded(each, longest) for each in zip(*drawn, strict=True))
    return SupervisedTrials(inputs, target, weight)


def _trial(env: Any) -> tuple[Tensor, Tensor]:
    """Inputs and right answers of one trial."""
    env.new_trial()
    inputs, target = (getattr(env, name, None) for name in ("ob", "gt"))
    if inputs is None or target is None:
        raise ConfigError(
            f"environment={type(env).__name__} has no {'ob' if inputs is None else 'gt'} after new_trial(); "
            "give one of the tasks that neurogym lists as supervised"
        )
    answers = np.asarray(target)
    kind = torch.long if answers.dtype.kind in "iub" else torch.float32
    return torch.tensor(np.asarray(inputs), dtype=torch.float32), torch.tensor(answers, dtype=kind)


def _padded(values: tuple[Tensor, ...], length: int) -> Tensor:
    """All in one tensor, with zeros behind the end of each."""
    result = values[0].new_zeros(len(values), length, *values[0].shape[1:])
    for row, value in enumerate(values):
        result[row, : len(value)] = value
    return result
