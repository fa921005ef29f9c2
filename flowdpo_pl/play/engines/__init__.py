"""Engines write and choose moves for the agents: one protocol, and our own decode loop behind it.

May import: what `play` may.
"""
