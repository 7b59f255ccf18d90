"""What the benchmarks of the engine share: networks, rivals, alternating rounds, result files."""
