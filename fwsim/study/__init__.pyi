from .config import Config as Config
from .config import Hertz as Hertz
from .config import Seconds as Seconds
from .config import Volts as Volts
from .context import Context as Context
from .context import pick_device as pick_device
