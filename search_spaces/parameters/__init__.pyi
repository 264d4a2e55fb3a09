from .parameter import NOT_GIVEN as NOT_GIVEN
from .parameter import canonical_json as canonical_json
