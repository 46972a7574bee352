"""Scores: metrics, and the benchmarks that use them."""
