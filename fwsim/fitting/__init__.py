"""Rules fitted to measured responses: estimates, their uncertainty, and which rule predicts best."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
