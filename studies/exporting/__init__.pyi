from .files import check_free as check_free
from .files import export_table as export_table
from .files import file_for as file_for
from .files import written as written
from .optuna_export import export_optuna as export_optuna
from .script import (
    ScriptParts as ScriptParts,
)
from .script import (
    script_parts as script_parts,
)
from .script import (
    script_text as script_text,
)
from .script import (
    training_of as training_of,
)
from .script import (
    try_script as try_script,
)
from .script import (
    write_script as write_script,
)
from .tensorboard import export_tensorboard as export_tensorboard
