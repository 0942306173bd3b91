"""Metrics: pure functions from a table and weights to numbers, and the factories that name them."""
