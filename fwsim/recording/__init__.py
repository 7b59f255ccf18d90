"""What is kept of a run: records, their schema, streaming to memory or Zarr, provenance."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
