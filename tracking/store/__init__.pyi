from .database import forget_database as forget_database
from .files import checkpoint_digest as checkpoint_digest
from .files import (
    one_before as one_before,
)
from .files import (
    replacing as replacing,
)
from .files import (
    write_atomically as write_atomically,
)
from .folder import (
    Store as Store,
)
from .folder import check_study_name as check_study_name
from .folder import (
    check_writable as check_writable,
)
from .folder import (
    create_store as create_store,
)
from .folder import (
    default_store_path as default_store_path,
)
from .folder import known_names as known_names
from .folder import (
    local_path as local_path,
)
from .folder import (
    open_store as open_store,
)
from .folder import (
    prepare_store as prepare_store,
)
from .trust import STORE_FORMAT as STORE_FORMAT
