"""Ways to run a whole sequence: `reference` is plain torch and the truth for all others."""
