"""Arrays: from a user's samples to a training, a validation and a sealed test part."""
