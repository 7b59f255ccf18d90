"""Studies: find an experiment file, run it, keep what it did, analyse it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
