"""Which search is right by default: searches replayed on tables of trials that were trained once."""
