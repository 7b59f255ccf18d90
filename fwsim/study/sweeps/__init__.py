"""Sweeps: one experiment at many points, in batches and on workers, recorded as one labelled whole."""
