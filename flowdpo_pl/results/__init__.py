"""What is on disk: trees, predictions, traces, how they were made, and files that are whole or absent.

May import: the face, model, verify, data, play, measure.
"""
