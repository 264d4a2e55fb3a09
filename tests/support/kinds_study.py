"""A small study of a table, whose champion tests use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study_file import DEEP, study_text
from user_commands import kerastudy_here

STUDY = study_text(
    **DEEP,
    name='"kinds"',
    imports="import pandas as pd\n",
    samples="""

def table(count):
    drawn = {"size": random.normal(3e4, 2e3, count), "age": random.integers(0, 90, count)}
    frame = pd.DataFrame(drawn)
    kinds = np.where((frame["size"] - 3e4) / 2e3 + frame["age"] / 45 > 1, "=large", "small")
    return frame, kinds


x, y = table(120)
test = table(50)
""",
    more="""
def callbacks(hp):
    import keras

    return [keras.callbacks.EarlyStopping("val_loss", patience=50)]

""",
    data='ks.datasets.arrays(x, y, validation=40, test=test, preprocess="standardize")',
    space="ks.SearchSpace(ks.units(2, 9))",
    callbacks="callbacks",
    objective='ks.Objective("val_loss", "min")',
    trials="2",
    batch_size="16",
    keep="1",
)


@dataclass(frozen=True)
class Kinds:
    """The launched study: its folder, and its trials in `show --json`, the best first."""

    folder: Path
    trials: list[dict[str, Any]]

    @property
    def store(self) -> Path:
        return self.folder / "kerastudy-store"

    def run(self, *arguments: str | Path, expect: int | None = 0, **more: str) -> Any:
        return kerastudy_here(self.folder, *arguments, expect=expect, **more)

    def launch(self, trials: int) -> Any:
        return self.run(
            *("launch", "study.py", "--executor", "in-process", "--trials", str(trials), "--json"),
            *("--verify", "off"),
        )

    def module(self) -> dict[str, Any]:
        """Runs the study's file, and returns its variables, such as the data."""
        names: dict[str, Any] = {}
        exec(STUDY, names)
        return names
