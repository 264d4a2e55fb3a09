from .confirmations import (
    Confirmation as Confirmation,
)
from .confirmations import (
    Corrected as Corrected,
)
from .confirmations import (
    Interval as Interval,
)
from .confirmations import (
    Racer as Racer,
)
from .data_findings import ConstantGuess as ConstantGuess
from .data_findings import DataFindings as DataFindings
from .evaluations import Evaluation as Evaluation
from .evaluations import Measured as Measured
from .objective import Direction as Direction
from .objective import Objective as Objective
from .objective import Rank as Rank
from .results import (
    FINISHED_STATES as FINISHED_STATES,
)
from .results import (
    Decision as Decision,
)
from .results import (
    Repeat as Repeat,
)
from .results import (
    TrialResult as TrialResult,
)
from .results import (
    TrialState as TrialState,
)
from .specs import (
    ALL_FOLDS as ALL_FOLDS,
)
from .specs import (
    BestEpoch as BestEpoch,
)
from .specs import (
    EpochResult as EpochResult,
)
from .specs import (
    TrialSpec as TrialSpec,
)
from .studies import (
    CodeDescription as CodeDescription,
)
from .studies import (
    DataDescription as DataDescription,
)
from .studies import (
    StudyDescription as StudyDescription,
)
from .tasks import Proposal as Proposal
from .tasks import TrainerName as TrainerName
from .tasks import TrialTask as TrialTask
from .trials import (
    EndedTrial as EndedTrial,
)
from .trials import (
    TrialRecord as TrialRecord,
)
from .trials import (
    finished_trials as finished_trials,
)
from .validation_predictions import ValidationPredictions as ValidationPredictions
