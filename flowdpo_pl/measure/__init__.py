"""Numbers of a run: accuracies and their intervals, what trees and choosers show, memory.

May import: the face, model, verify, data, play.
"""
