"""Runs of `fit` as one page: charts of what they logged, what limits them, their trees.

May import: the face, model, verify, data, play, measure, results, learn, plan, view.
"""
