"""The command line: arguments in, words out, no logic.

| module | holds |
|---|---|
| `main` | the command `kerastudy` and how its errors are told |
| `launch`, `reproduce` | what runs trials |
| `show`, `ui` | what looks at them |
| `doctor` | what mends the store |
| `trusting` | asking before a stranger's code is run |
| `output`, `top_trials` | JSON and text of a study |
| `lines` | lines that fit a terminal |
"""
