from .membership import complete as complete
