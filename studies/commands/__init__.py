"""The command line: arguments in, words out, no logic.

| module | holds |
|---|---|
| `main` | the command `kerastudy`, and how it prints errors |
| `launch`, `reproduce` | what runs trials |
| `show`, `compare`, `ui` | what looks at them |
| `push` | what sends them to an MLflow server |
| `doctor` | what mends the store |
| `trusting` | asking before a stranger's code is run |
| `reading` | finding the study that the arguments name |
| `output`, `top_trials` | JSON and text of a study |
| `lines` | lines that fit a terminal |
"""
