"""Worlds with two dials for the study of when a flow pays: chains of steps, and lucky answers."""
