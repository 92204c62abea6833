"""What the built-in model needs beside the two stages: its VAE, its encoders and the proof that it works."""
