from .command_line import kerastudy as kerastudy
from .command_line import main as main
from .command_line import tell as tell
from .command_line import telling_errors as telling_errors
from .reproduce_and_confirm import reproduction_text as reproduction_text
from .texts.json_documents import study_document as study_document
from .texts.study_text import definition_text as definition_text
from .texts.study_text import study_text as study_text
