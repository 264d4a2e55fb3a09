"""Which search is best by default: searches replayed on tables of trained trials."""
