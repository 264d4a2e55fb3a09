"""What commands print for people: lines that fit the terminal.

| module | holds |
|---|---|
| `study_text` | a study: the verdict first; its plan |
| `trial_text` | trials side by side, or one in full |
| `findings_text` | what was found in a study's record, and in its data |
| `tables` | tables that fit, and values in words |
"""
