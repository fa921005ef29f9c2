"""Is an answer right? Reading answers, comparing them, and the worker processes that do it.

May import: the face, model.
"""
