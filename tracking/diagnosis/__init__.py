"""What the record of a study says about its search, and what to search next.

The checks are those of Google's Deep Learning Tuning Playbook (Godbole, Dahl, Gilmer, Shallue and
Nado 2023, https://github.com/google-research/tuning_playbook). Each names its section there, or
the rule of thumb that it uses.

| module | holds |
|---|---|
| `diagnose` | runs all checks |
| `findings` | what a check returns |
| `diagnosed` | what the checks read of a record |
| `boundaries` | best trials at an end of a range, or next to where trials fail |
| `sufficiency` | whether more trials are worth it |
| `isolation` | what a scientific hyperparameter does once the nuisance ones are tuned |
| `answers` | what a study finds about its scientific hyperparameters, in a sentence each |
| `value_fits` | which of their values underfit, fit or overfit |
| `lengths` | too few epochs, or far too many |
| `fits` | overfitting, underfitting, noise from epoch to epoch, losses that rise |
| `variances` | noise against the differences between trials |
| `failures` | infeasible trials: how many, why and where |
| `pruning` | whether the epoch of the pruner's cuts says anything about the end |
| `batch_sizes` | a batch size that is tuned for its value |
| `schedules` | whether the learning rate changes while a study trains |
| `next_launch` | the launch that should follow: wider or cut ranges, more trials, other settings |
| `numbers` | small statistics, and numbers as text |
"""
