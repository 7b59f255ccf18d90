"""The rules and networks of fwsim as spiking networks in Brian2."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
