from .values import NOT_GIVEN as NOT_GIVEN
from .values import canonical_json as canonical_json
