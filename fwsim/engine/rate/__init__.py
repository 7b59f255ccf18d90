"""Rate networks with plastic synapses, in continuous time."""
