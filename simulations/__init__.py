"""Experiments on the real core with synthetic facts; nothing of the program depends on them."""
