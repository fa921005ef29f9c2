"""Engines decode moves for the agents."""
