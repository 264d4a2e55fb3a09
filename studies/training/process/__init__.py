"""The process of a training: seeds, settings, memory, versions.

| module | holds |
|---|---|
| `determinism` | seeds, threads and names: the same spec gives the same bits |
| `environment` | what bits depend on besides spec and code; the peak memory of a trial |
| `global_settings` | settings of the process, restored for each trial |
| `users_state` | what fits change in the user's modules, set back before each fit |
"""
