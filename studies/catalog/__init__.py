"""Ready studies: each file is a study file as a user would write it, loaded by its path."""
