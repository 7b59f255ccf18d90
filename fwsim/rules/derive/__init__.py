"""What follows from the functions of a rule, each derivation in a module of its own; see `fwsim.rules.derived`."""
