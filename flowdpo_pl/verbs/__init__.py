"""Verbs of the command line that are not the trainer's, and what they are made of.

May import: the face, model, verify, data, play, measure, results, learn, plan, view, report, modules,
command_line, cli.
"""
