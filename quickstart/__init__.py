"""A tiny model, the recipe that made it, and fresh problems for it: the whole method in a minute."""
