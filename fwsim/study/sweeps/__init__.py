"""Sweeps: one experiment at many points, run in batches by workers, recorded as one labelled dataset."""
