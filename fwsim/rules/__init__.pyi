from .hebbian import Hebbian as Hebbian
from .memory import MemoryRule as MemoryRule
