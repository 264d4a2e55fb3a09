"""Compares kerastudy with other ways to tune, on the same work."""
