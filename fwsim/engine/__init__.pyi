from .network import FastWeightNetwork as FastWeightNetwork
from .planner import Plan as Plan
from .simulation import load_state as load_state
from .simulation import simulate as simulate
from .state import State as State
