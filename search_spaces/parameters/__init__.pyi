from .parameter_and_values import NOT_GIVEN as NOT_GIVEN
from .parameter_and_values import canonical_json as canonical_json
