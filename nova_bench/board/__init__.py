"""Bundles and entries: what is sent in, and what can be said of it."""
