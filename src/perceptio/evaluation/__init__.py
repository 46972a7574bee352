"""How good a model is: metrics, benchmarks and their reports."""
