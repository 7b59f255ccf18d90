"""Models to train: recurrent networks that fast weights are compared with, classifiers, agents."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
