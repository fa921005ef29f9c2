"""Rollout trees and predictions as a page to look at: one file, or a part of another page.

May import: the face, model, verify, data, play, measure, results, learn, plan.
"""
