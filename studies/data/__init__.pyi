from . import datasets as datasets
from .arrays.digests import array_digest as array_digest
from .arrays.digests import combined_digest as combined_digest
from .arrays.digests import marks as marks
from .arrays.large import file_of as file_of
from .arrays.large import shared as shared
from .arrays.splits import Part as Part
from .arrays.splits import Splits as Splits
from .arrays.splits import seal as seal
from .dataset import Dataset as Dataset
from .folds import splits as splits
from .folds.cross_validation import CrossValidation as CrossValidation
from .folds.folded import FoldedSplits as FoldedSplits
from .folds.splits import (
    check_cross_validation as check_cross_validation,
)
from .folds.splits import (
    read_spelled as read_spelled,
)
from .looking.look import glance_at as glance_at
from .looking.look import look_at as look_at
from .looking.look import told_apart as told_apart
from .preprocessing import building_for as building_for
from .protocol import DescribedData as DescribedData
from .protocol import LoadedData as LoadedData
from .replacing import replaced_data as replaced_data
from .streams.profiles import PROFILE_SEED as PROFILE_SEED
from .streams.streamed_dataset import StreamedDataset as StreamedDataset
from .tables.files import path_in as path_in
from .tables.files import spelled as spelled
from .tables.values import model_columns as model_columns
