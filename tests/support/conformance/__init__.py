"""The suite of each seam, which its implementations pass."""
