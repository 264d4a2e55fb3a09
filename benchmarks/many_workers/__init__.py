"""A study on a thousand simulated workers: `python -m benchmarks.many_workers`.

| module | holds |
|---|---|
| `cluster` | the workers, and their clock |
| `attempts` | the messages that count |
| `measuring` | a launch on them, and its figures |
| `asking` | proposals of an engine that knows many trials |
"""
