"""One suite for each seam: every implementation passes it."""
