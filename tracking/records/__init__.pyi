from .checks import (
    Confirmation as Confirmation,
)
from .checks import (
    Corrected as Corrected,
)
from .checks import Evaluation as Evaluation
from .checks import (
    Interval as Interval,
)
from .checks import Measured as Measured
from .checks import (
    Racer as Racer,
)
from .checks import ValidationPredictions as ValidationPredictions
from .converting import from_json as from_json
from .converting import to_json as to_json
from .studies import (
    CodeDescription as CodeDescription,
)
from .studies import ConstantGuess as ConstantGuess
from .studies import (
    DataDescription as DataDescription,
)
from .studies import DataFindings as DataFindings
from .studies import Direction as Direction
from .studies import Objective as Objective
from .studies import Rank as Rank
from .studies import (
    StudyDescription as StudyDescription,
)
from .trials import (
    ALL_FOLDS as ALL_FOLDS,
)
from .trials import (
    FINISHED_STATES as FINISHED_STATES,
)
from .trials import (
    BestEpoch as BestEpoch,
)
from .trials import (
    Decision as Decision,
)
from .trials import (
    EndedTrial as EndedTrial,
)
from .trials import (
    EpochResult as EpochResult,
)
from .trials import Proposal as Proposal
from .trials import (
    Repeat as Repeat,
)
from .trials import TrainerName as TrainerName
from .trials import (
    TrialRecord as TrialRecord,
)
from .trials import (
    TrialResult as TrialResult,
)
from .trials import (
    TrialSpec as TrialSpec,
)
from .trials import (
    TrialState as TrialState,
)
from .trials import TrialTask as TrialTask
from .trials import (
    finished_trials as finished_trials,
)
from .trials import training_name as training_name
