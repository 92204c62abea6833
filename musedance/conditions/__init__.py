"""What the model is told: beats, music, words and masks."""
