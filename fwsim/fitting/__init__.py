"""Fits of rules to measured responses: estimates, uncertainty, and comparison of rules by prediction."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
