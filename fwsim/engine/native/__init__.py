"""The engine for CPUs in C++: `variants` says how it is compiled, `library` loads what was compiled."""
