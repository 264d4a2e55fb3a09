"""Compares verdicts on a study's choice with known truths.

| module | holds |
|---|---|
| `settings` | the six settings of synthetic studies |
| `world` | a world in which the truth is known: samples, configurations, trainings |
| `studies` | simulated studies in that world: search, best value, race, confirmation |
| `synthetic` | parts a, c and d: coverage, null studies, the regret of the race |
| `small` | part e: few samples, values near 1, groups, weights, AUC |
| `real` | part b: small studies on MNIST, trained |
| `table` | the figures as tables |

The world and the choosers share no code with the statistics that they judge.
"""
