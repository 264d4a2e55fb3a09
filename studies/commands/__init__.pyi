from .command_line import (
    kerastudy as kerastudy,
)
from .command_line import (
    main as main,
)
from .command_line import (
    tell as tell,
)
from .command_line import (
    telling_errors as telling_errors,
)
from .evaluate import evaluation_text as evaluation_text
from .launch import launch_command as launch_command
from .output import study_document as study_document
from .reproduce import reproduction_text as reproduction_text
from .texts.study_text import definition_text as definition_text
from .texts.study_text import study_text as study_text
from .texts.trial_text import trial_text as trial_text
from .trusting import check_trusted as check_trusted
