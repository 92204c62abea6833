"""Whether a model's dancers keep their look and follow beat, music, tempo and text: what its card says in numbers."""
