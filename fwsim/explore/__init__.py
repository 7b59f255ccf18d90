"""A local page to look into a recording: time, inner iterations and units, in linked views."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
