"""What is printed: the line of progress, tables, and what a verb says last.

May import: watching, files.
"""
