from .loading import (
    describe_code as describe_code,
)
from .loading import (
    load_study as load_study,
)
from .loading import (
    with_source as with_source,
)
from .shipping import ship as ship
from .shipping import unpack as unpack
from .targets import Target as Target
from .targets import resolve_target as resolve_target
from .user_modules import commit_of as commit_of
from .user_modules import import_texts as import_texts
from .user_modules import own_modules as own_modules
from .user_modules import place_of as place_of
from .user_modules import text_of as text_of
