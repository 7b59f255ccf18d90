"""One step of a rate network: exact for everything linear, second order for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.engine.rate.exponential import Weights
from fwsim.engine.rate.gains import Gain
from fwsim.engine.rate.matrix import Matrix
from fwsim.engine.rate.normalisation import Normalisation
from fwsim.engine.rate.projection import PreparedProjection, transmit
from fwsim.rules.rule import Values


class Moment(NamedTuple):
    """Where a rate network is: `hidden [batch, unit]`, one state a plastic projection, the memory or `None`."""

    hidden: Tensor
    synapses: tuple[Values, ...]
    memory: Tensor | None


@dataclass(frozen=True, eq=False)
class Stepper:
    """A rate network prepared for steps of one length.

    `membrane` holds weights of the leak whose forcing is the field, so `first` and `second` are divided by τ;
    `static` is the sum of all weights that do not change.
    """

    gain: Gain
    normalise: Normalisation | None
    membrane: Weights
    static: Tensor | None
    plastic: tuple[PreparedProjection, ...]
    matrix: Matrix | None

    def step(self, now: Moment, drive: Tensor) -> Moment:
        """Advance by one step under the input `drive [batch, unit]`, which is held."""
        matrix, memory = self.matrix, now.memory
        rate = self.gain(now.hidden)
        acted = [part.act(state, rate) for part, state in zip(self.plastic, now.synapses)]
        answer = None if matrix is None or memory is None else matrix.read(memory, rate)
        field = self._field(drive, rate, [current for _, current in acted], answer)

        hidden = torch.addcmul(self.membrane.keep * now.hidden, self.membrane.first, field)
        predicted = [
            part.relaxation.predict(state, change)
            for part, state, (change, _) in zip(self.plastic, now.synapses, acted)
        ]
        ahead = self.gain(hidden)
        again = [part.act(state, ahead) for part, state in zip(self.plastic, predicted)]
        answer = None if matrix is None or memory is None else matrix.read_predicted(memory, rate, ahead)
        reached = self._field(drive, ahead, [current for _, current in again], answer)

        corrected = [
            part.relaxation.correct(state, before, after)
            for part, state, (before, _), (after, _) in zip(self.plastic, predicted, acted, again)
        ]
        return Moment(
            torch.addcmul(hidden, self.membrane.second, reached - field),
            tuple(corrected),
            None if matrix is None or memory is None else matrix.write(memory, rate, ahead),
        )

    def _field(self, drive: Tensor, rate: Tensor, currents: list[Tensor], answer: Tensor | None) -> Tensor:
        field = drive
        if self.static is not None:
            field = field + transmit(self.static, rate)
        for current in currents:
            field = field + current
        if answer is not None:
            field = field + answer
        return field if self.normalise is None else self.normalise(field)


def run(stepper: Stepper, now: Moment, drive: Tensor, kicks: Tensor | None) -> tuple[Tensor, Moment]:
    """Run as many steps as `drive [batch, time, unit]` has; see `fwsim.engine.rate.gradient.run`."""
    rates = []
    for t, x in enumerate(drive.unbind(1)):
        now = stepper.step(now, x)
        now = now if kicks is None else now._replace(hidden=now.hidden + kicks[t])
        rates.append(stepper.gain(now.hidden))
    return torch.stack(rates, 1) if rates else drive, now
