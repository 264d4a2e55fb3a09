from .mirror import mirrored as mirrored
from .server import check_server as check_server
from .server import server_of_environment as server_of_environment
from .study_copy import StudyCopy as StudyCopy
from .study_copy import check_free as check_free
