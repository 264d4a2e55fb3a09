"""The state of a training, to resume it bit for bit.

| module | holds |
|---|---|
| `best_weights` | the weights of a trial's best epoch: kept in memory, written once, digested |
| `beyond_weights` | variables of losses and metrics |
| `callback_states` | the state of callbacks, in their attributes |
| `checkpointing` | keeping the state of a training, written in the background |
| `resuming` | resuming a training from its last state |
| `training_state` | the state of a training after an epoch, in a file |
"""
