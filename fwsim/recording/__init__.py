"""Recordings of runs: records, schema, streaming to memory or Zarr, provenance."""

from fwsim.names import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
