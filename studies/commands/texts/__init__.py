"""What commands print for people: lines that fit the terminal.

| module | holds |
|---|---|
| `study_text` | a study: the verdict first |
| `trial_text` | one trial in full |
| `diagnosis_text` | what a study's record says about its search |
| `data_text` | what was found in a study's data |
| `definition_text` | the plan of a study |
| `trial_tables` | trials side by side, or one below the other |
| `tables` | tables that fit |
| `values` | values in words |
"""
