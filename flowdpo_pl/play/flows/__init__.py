"""The flows that ship, one a file; a flow of one's own is a file anywhere.

May import: what `play` may.
"""
