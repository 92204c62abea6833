"""Measures of videos: arrays in, numbers out. Nothing here reads a dataset or runs the model."""
