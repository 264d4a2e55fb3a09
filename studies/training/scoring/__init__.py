"""A trained model on data: scores of single samples, predictions, the sealed test part."""
