"""A local page to explore a recording: time, inner iterations and units, in linked views."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
