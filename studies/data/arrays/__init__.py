"""Data in arrays: checks a user's samples, and splits them into parts or folds."""
