from .command_line import kerastudy as kerastudy
from .command_line import main as main
from .command_line import tell as tell
from .command_line import telling_errors as telling_errors
from .reproduce_and_confirm import reproduction_text as reproduction_text
from .study_as_text_and_json import definition_text as definition_text
from .study_as_text_and_json import study_document as study_document
from .study_as_text_and_json import study_text as study_text
