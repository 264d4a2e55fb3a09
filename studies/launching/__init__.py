"""Starting or resuming a study: its record, its executor, its champion.

| module | holds |
|---|---|
| `choosing` | chooses a study's champion when its trials are done |
| `launch` | starting a study, or going on with it: from a file or an object to its record |
| `launch_options` | how a study is launched: all that is none of its definition |
| `load_model` | loading a registered champion, with its own layers and losses |
| `mirroring` | sends a study's record to an MLflow server too |
| `retrying` | trains infeasible trials again, after the user mended the cause |
| `run_study` | a study that an executor has loaded: its record and its driver |
| `taking_up` | its store is checked, it is held, and its record is read |
"""
