"""The native engine of an installed fwsim loads; cibuildwheel runs this on every platform."""

from fwsim.engine.native.library import library, variant

library()
print("native engine:", variant())
