"""Scorers: from one sample and its prediction to a row of sufficient statistics."""
