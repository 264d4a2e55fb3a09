from .base import NOT_GIVEN as NOT_GIVEN
from .base import canonical_json as canonical_json
