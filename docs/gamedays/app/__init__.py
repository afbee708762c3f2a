"""What the small services of the game days are made of. Only Python's standard library."""
