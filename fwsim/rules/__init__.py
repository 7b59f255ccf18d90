"""What a synapse does: one file a rule, pure functions of state."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
