"""Every rule by the name it has on the command line. To add a rule, add its line here."""

from __future__ import annotations

from fwsim.rules.base import SpikeRule
from fwsim.rules.bcpnn import BCPNN
from fwsim.rules.benna_fusi import BennaFusi
from fwsim.rules.delta import Delta
from fwsim.rules.enhancement import Enhancement
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.hebbian_traces import HebbianTraces
from fwsim.rules.linear_nonlinear import LinearNonlinear
from fwsim.rules.memory import MemoryRule
from fwsim.rules.tsodyks_markram import TsodyksMarkram
from fwsim.rules.varela import Varela

RULES: dict[str, type[SpikeRule] | type[MemoryRule]] = {
    "tsodyks_markram": TsodyksMarkram,
    "varela": Varela,
    "enhancement": Enhancement,
    "linear_nonlinear": LinearNonlinear,
    "hebbian_traces": HebbianTraces,
    "bcpnn": BCPNN,
    "benna_fusi": BennaFusi,
    "hebbian": Hebbian,
    "delta": Delta,
}
