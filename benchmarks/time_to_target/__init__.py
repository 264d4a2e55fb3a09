"""The time until a search finds a good model, by the clock."""
