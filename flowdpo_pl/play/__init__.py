"""The flow as it is played: its rules, what agents read, and how trees of moves grow.

May import: the face, model, verify, data.
"""
