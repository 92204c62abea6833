"""Pipeline folders: made with random weights, assembled from upstream checkpoints, checked and fingerprinted."""
