"""Dataset folders: reading, checking and showing them, and turning them into training batches."""
