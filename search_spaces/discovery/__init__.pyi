from .unread_hyperparameters import reading_of as reading_of
