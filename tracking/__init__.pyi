from .history.study_history import StudyHistory as StudyHistory
from .history.study_history import read_study as read_study
from .records import (
    BestEpoch as BestEpoch,
)
from .records import (
    EndedTrial as EndedTrial,
)
from .records import (
    EpochResult as EpochResult,
)
from .records import (
    Objective as Objective,
)
from .records import (
    StudyDescription as StudyDescription,
)
from .records import (
    TrialRecord as TrialRecord,
)
from .records import (
    TrialResult as TrialResult,
)
from .records import (
    TrialSpec as TrialSpec,
)
from .store.folder import Store as Store
from .store.folder import create_store as create_store
from .store.folder import open_store as open_store
