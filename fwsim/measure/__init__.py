"""Numbers from a recording or from a map: pure functions, xarray out, xarray in where it is a recording."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
