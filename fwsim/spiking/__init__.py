"""The rules and networks of fwsim in Brian2."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
