"""The state of a training, to resume it bit for bit.

| module | holds |
|---|---|
| `best_weights` | the weights of a trial's best epoch: kept in memory, written once, digested |
| `training_state` | the state after an epoch, callbacks, losses and metrics included, in a file |
| `checkpointing` | keeping the state, written in the background, and resuming from it |
"""
