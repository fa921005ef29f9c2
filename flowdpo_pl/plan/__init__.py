"""What a run will take before it runs: memory by part, tokens, hours, from shapes alone.

May import: the face, model, verify, data, play, measure, results, learn.
"""
