"""How a run's files are written while it goes on, and what an interrupted one left is taken up.

May import: watching.
"""
