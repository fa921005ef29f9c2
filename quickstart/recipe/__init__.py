"""Makes the quickstart's model and problems from nothing: world -> solutions -> corpus -> pretrain."""
