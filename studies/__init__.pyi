from .data import Dataset as Dataset
from .data import datasets as datasets
from .data import splits as splits
from .error_texts import first_paragraph as first_paragraph
from .interruption import (
    catching_interrupts as catching_interrupts,
)
from .interruption import (
    raising_interrupts as raising_interrupts,
)
from .lines import as_csv as as_csv
from .lines import printable as printable
from .lines import wrapped as wrapped
from .study import Study as Study
