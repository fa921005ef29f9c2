"""The end of a run in numbers: `summary.json`, and how these numbers read in a table.

May import: watching, files, screen.
"""
