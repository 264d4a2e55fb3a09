from .atomic import (
    one_before as one_before,
)
from .atomic import (
    replacing as replacing,
)
from .atomic import (
    write_atomically as write_atomically,
)
from .checkpoints import checkpoint_digest as checkpoint_digest
from .facts import STORE_FORMAT as STORE_FORMAT
from .folder import (
    Store as Store,
)
from .folder import (
    check_writable as check_writable,
)
from .folder import (
    create_store as create_store,
)
from .folder import (
    default_store_path as default_store_path,
)
from .folder import (
    local_path as local_path,
)
from .folder import (
    open_store as open_store,
)
from .folder import (
    prepare_store as prepare_store,
)
from .names import check_study_name as check_study_name
from .names import known_names as known_names
from .new_database import forget_database as forget_database
