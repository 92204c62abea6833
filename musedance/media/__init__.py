"""Sound, picture and video files to and from arrays. Knows nothing of the model and imports no torch."""
