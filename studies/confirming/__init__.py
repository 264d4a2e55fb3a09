"""The best trials again under new seeds, and how far to believe the study's choice.

| module | holds |
|---|---|
| `options` | how a confirmation is asked for |
| `plan` | who races, under which seeds, and what each training is |
| `executors` | executors that have loaded the study as its trials ran it |
| `trainings` | runs the trainings, records each, and trains none twice |
| `test_scores` | the scores of test samples, where the study is loaded |
| `outcome` | the outcome, from the trainings and their scores |
| `racing` | the race |
| `test_part` | one reading of the sealed test part |
| `carrying_out` | carries a plan out, and records the outcome |
| `confirm` | `kerastudy.confirm`, and what the command does |
"""
