from .scalars import NOT_GIVEN as NOT_GIVEN
from .scalars import canonical_json as canonical_json
