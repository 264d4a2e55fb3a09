from .data import datasets as datasets
from .error_texts import first_paragraph as first_paragraph
from .interruption import catching_interrupts as catching_interrupts
from .interruption import raising_interrupts as raising_interrupts
from .study import Study as Study
from .terminal_text import printable as printable
from .terminal_text import wrapped as wrapped
