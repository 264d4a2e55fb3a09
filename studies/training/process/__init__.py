"""The process that trains: random states, settings, the user's own state, its environment."""
