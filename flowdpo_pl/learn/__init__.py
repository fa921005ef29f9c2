"""From trees to gradients: mining pairs, packing them, scoring, losses, the agents' updates.

May import: the face, model, verify, data, play, measure, results.
"""
