"""What Lightning runs: modules that play, learn and test, their data, the strategy for several devices.

May import: the face, model, verify, data, play, measure, results, learn, plan, view, report.
"""
