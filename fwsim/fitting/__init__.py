"""Rules fitted to measured responses: estimates, their uncertainty, and which rule predicts best."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
