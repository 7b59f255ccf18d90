from . import measure as measure
from . import rules as rules
from . import spiking as spiking
from . import study as study
from . import tasks as tasks
from . import theory as theory
from .engine import FastWeightNetwork as FastWeightNetwork
from .engine import State as State
from .engine import load_state as load_state
from .engine import simulate as simulate
from .errors import ConfigError as ConfigError
from .errors import DivergedError as DivergedError
from .errors import FwsimError as FwsimError
from .errors import RecordingError as RecordingError
from .errors import ShapeError as ShapeError
from .recording import Record as Record
from .rules import Hebbian as Hebbian
from .units import Hz as Hz
from .units import kHz as kHz
from .units import minute as minute
from .units import ms as ms
from .units import mV as mV
from .units import second as second
from .units import us as us
from .units import volt as volt

__version__: str
