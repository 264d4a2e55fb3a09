from .comparison import Comparison as Comparison
from .comparison import Reached as Reached
from .comparison import compare as compare
from .comparison import overlap_of as overlap_of
from .confirmations import (
    confirmation_of as confirmation_of,
)
from .confirmations import (
    evaluations_on as evaluations_on,
)
from .confirmations import (
    read_confirmations as read_confirmations,
)
from .confirmations import (
    read_evaluations as read_evaluations,
)
from .confirmations import (
    read_trainings as read_trainings,
)
from .confirmations import (
    record_evaluation as record_evaluation,
)
from .confirmations import (
    runs_of as runs_of,
)
from .curves import RecordedCurves as RecordedCurves
from .curves import epoch_metrics as epoch_metrics
from .curves import sparkline as sparkline
from .renaming import rename_study as rename_study
from .study_history import (
    StudyHistory as StudyHistory,
)
from .study_history import (
    find_engines as find_engines,
)
from .study_history import read_code as read_code
from .study_history import read_source as read_source
from .study_history import (
    read_study as read_study,
)
from .study_history import (
    study_names as study_names,
)
from .summary import (
    confirm_command as confirm_command,
)
from .summary import describe_study as describe_study
from .summary import (
    renew_note as renew_note,
)
from .summary import (
    shell_commands as shell_commands,
)
from .summary import (
    study_note as study_note,
)
from .trials import best_trial as best_trial
from .trials import ranked as ranked
from .trials import trials_table as trials_table
from .validation_samples import best_scores as best_scores
from .validation_samples import read_validation_predictions as read_validation_predictions
from .validation_samples import trial_scores as trial_scores
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
