"""Studies whose processes are killed at random instants: `python -m tests.chaos --kills 200`."""
