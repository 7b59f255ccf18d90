"""Neurodata Without Borders: recordings and runs as NWB files, and NWB files as recordings."""
