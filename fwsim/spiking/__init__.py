"""See the module list."""
