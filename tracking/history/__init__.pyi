from .comparison import Comparison as Comparison
from .comparison import Reached as Reached
from .comparison import compare as compare
from .confirmations import (
    confirmation_of as confirmation_of,
)
from .confirmations import (
    read_confirmations as read_confirmations,
)
from .confirmations import (
    read_trainings as read_trainings,
)
from .confirmations import (
    runs_of as runs_of,
)
from .curves import RecordedCurves as RecordedCurves
from .curves import epoch_metrics as epoch_metrics
from .evaluations import (
    evaluations_on as evaluations_on,
)
from .evaluations import (
    read_evaluations as read_evaluations,
)
from .evaluations import (
    record_evaluation as record_evaluation,
)
from .overlaps import overlap_of as overlap_of
from .recorded_code import read_code as read_code
from .recorded_code import read_source as read_source
from .renaming import rename_study as rename_study
from .scores_by_trial import best_scores as best_scores
from .scores_by_trial import trial_scores as trial_scores
from .selection import best_trial as best_trial
from .selection import ranked as ranked
from .sparklines import sparkline as sparkline
from .study_history import (
    StudyHistory as StudyHistory,
)
from .study_history import (
    find_engines as find_engines,
)
from .study_history import (
    read_study as read_study,
)
from .study_history import (
    study_names as study_names,
)
from .study_line import describe_study as describe_study
from .summary import (
    confirm_command as confirm_command,
)
from .summary import (
    renew_note as renew_note,
)
from .summary import (
    shell_commands as shell_commands,
)
from .summary import (
    study_note as study_note,
)
from .table_of_trials import trials_table as trials_table
from .validation_predictions import read_validation_predictions as read_validation_predictions
from .verdicts import (
    StudyVerdict as StudyVerdict,
)
from .verdicts import (
    champion_sentences as champion_sentences,
)
from .verdicts import (
    record_corrected as record_corrected,
)
from .verdicts import (
    study_verdict as study_verdict,
)
