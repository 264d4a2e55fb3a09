"""Discovery: the space of a builder that declares its hyperparameters inline."""
