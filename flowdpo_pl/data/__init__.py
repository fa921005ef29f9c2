"""From files to problems: rows, what a row says, the order of a stream, how much of it is consumed.

May import: the face, model, verify.
"""
