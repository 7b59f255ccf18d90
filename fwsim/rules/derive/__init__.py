"""Derivations from the functions of a rule, each in its own module; see `fwsim.rules.derived`."""
