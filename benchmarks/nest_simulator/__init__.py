"""A circuit of fwsim in NEST: its parameters there, and how long it takes."""
