"""Generating a test set, scoring it and telling what came out."""
