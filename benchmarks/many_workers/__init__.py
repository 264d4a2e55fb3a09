"""A study on a thousand simulated workers: `python -m benchmarks.many_workers`.

| module | holds |
|---|---|
| `cluster` | the workers, and their clock |
| `attempts` | which of their messages count |
| `measuring` | a launch on them, and what it took |
| `asking` | proposals of an engine that knows many trials |
"""
