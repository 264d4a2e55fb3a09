from .champion_versions import champion_version as champion_version
from .confirmation_runs import OUTCOME_FILE as OUTCOME_FILE
from .confirmation_runs import ConfirmationRuns as ConfirmationRuns
from .experiments import delete_study as delete_study
from .pages import view_id as view_id
from .parents import study_experiments as study_experiments
from .run_contents import (
    LONGEST_METRIC as LONGEST_METRIC,
)
from .run_contents import (
    code_path as code_path,
)
from .run_contents import (
    dataset_inputs as dataset_inputs,
)
from .run_contents import (
    definition_path as definition_path,
)
from .run_contents import (
    from_mlflow as from_mlflow,
)
from .run_contents import (
    local_artifacts as local_artifacts,
)
from .run_contents import (
    to_mlflow as to_mlflow,
)
from .run_writer import ClientWriter as ClientWriter
from .run_writer import RunWriter as RunWriter
from .run_writer import TableWriter as TableWriter
from .run_writer import make_writer as make_writer
from .study_files import StudyFiles as StudyFiles
from .study_runs import StudyRuns as StudyRuns
