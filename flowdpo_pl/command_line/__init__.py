"""What is known of the command line before anything heavy is imported: verbs, keys, help, checks.

May import: the face, model, verify, data, play, measure, results, learn, plan, view, report, modules.
"""
