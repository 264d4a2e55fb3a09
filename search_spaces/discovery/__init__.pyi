from .reading import reading_of as reading_of
