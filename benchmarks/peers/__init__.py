"""kerastudy beside what its users would otherwise write: the same work, side by side."""
