"""Turns records into comparable texts, and separates expected differences from others.

A document has a text for each field: `trial/3/metric/val_loss/step/2` is `0x1.8p-1 (0.75)`. A slash
within a name becomes a colon. Numbers are hexadecimal, so that the last bit shows.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = Mapping[str, str]
MISSING = "(missing)"

# Fields that two launches of the same code differ in, or that nobody sees. No others are left out.
LEFT_OUT = {
    "mlflow/**/tag/mlflow.kerastudy.*": "MLflow's pages hide these tags: a record of ours",
    "mlflow/run/*/tag/mlflow.parentRunId": "an id; the run's name here says what it belongs to",
    "mlflow/run/*/metric/system:seconds/**": "a duration",
    "mlflow/run/*/metric/system:peak_memory_bytes/**": "what the allocator had taken",
    "show/**/peak_memory_bytes": "what the allocator had taken",
    "show/best/repeats/*/seconds": "a duration",
    "show/best/on_all_folds/seconds": "a duration",
    "mlflow/**/tag/kerastudy.uuid": "an id",
    "show/**/run_id": "an id",
    "show/**/uuid": "an id",
    "show/verdict/confirmations/*/time": "when it was confirmed",
    "confirm/run_id": "an id",
    "confirm/uuid": "an id",
    "confirm/time": "when it was confirmed",
    "evaluate/time": "when the test part was read",
    "evaluate/**/time": "when the test part was read",
    "evaluate/**/run_id": "an id",
    "evaluate/**/confirmation": "an id",
}
# Times within texts are replaced. The rest of the text is compared.
REPLACED = {
    r"\b\d+(\.\d+)?(e-\d+)? (ms|s|min)\b": "<duration>",
    r'"(createdAt|updatedAt)": \d+': r'"\1": "<when the view was made>"',
    r"\b20\d\d-\d\d-\d\d \d\d:\d\d UTC": "<when the report was made>",
    r"\bon 20\d\d-\d\d-\d\d\b": "on <the day of a reproduction>",
}


def fields(tree: Any, places: Mapping[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the fields of nested values, without those that are left out.

    Args:
        tree: As `json.loads` returns it.
        places: The words that replace folders and ids in texts.
        path: The path of this tree.
    """
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in items:
            name = str(key).replace("/", ":")
            yield from fields(value, places, f"{path}/{name}" if path else name)
        if not tree and path:
            yield path, json.dumps(tree)
    elif not any(matches(pattern, path) for pattern in LEFT_OUT):
        yield path, text_of(tree, places)


def text_of(value: Any, places: Mapping[str, str]) -> str:
    """Returns the text of a single value."""
    if isinstance(value, float):
        return f"{value.hex()} ({value!r})"
    if not isinstance(value, str):
        return json.dumps(value)
    for place, name in places.items():
        value = value.replace(place, name)
    # A prepared view of MLflow's pages.
    value = re.sub(r"deflate;([\w+/=]+)", lambda packed: _unpacked(packed[1]), value)
    for pattern, replacement in REPLACED.items():
        value = re.sub(pattern, replacement, value)
    return str(value)


def _unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text)).decode()


def matches(pattern: str, text: str) -> bool:
    """Returns whether a pattern matches: `*` is anything between slashes, `**` slashes, too."""
    return re.fullmatch(_expression(pattern), text) is not None


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)


@dataclass(frozen=True)
class Difference:
    """A field of a study that the two sides differ in."""

    study: str
    field: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        """Its field with a star for each number: differences of one kind are shown together."""
        return re.sub(r"(?<![^/ ])\d+(?![^/ ])", "*", self.field)


def differences(study: str, before: Document, after: Document) -> list[Difference]:
    """Returns every field that differs, or that one side lacks."""
    names = dict.fromkeys((*before, *after))
    pairs = ((name, before.get(name, MISSING), after.get(name, MISSING)) for name in names)
    return [Difference(study, name, old, new) for name, old, new in pairs if old != new]


@dataclass(frozen=True)
class Expected:
    """A line of `expected.md`: differences that are meant."""

    study: str
    field: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Returns whether this line covers a difference."""
        return matches(self.study, difference.study) and matches(self.field, difference.field)


def read_expected(file: Path) -> list[Expected]:
    """Returns the lines of the table.

    Raises:
        ValueError: If a line has no reason, or a pattern that begins with a star.
    """
    lines = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or cells[0] == "study" or set(cells[0]) <= set("-: "):
            continue
        if len(cells) != 3 or not cells[2]:
            raise ValueError(f"{file.name}, line {number}: study, field and a reason are needed")
        if cells[1].startswith("*"):
            raise ValueError(f"{file.name}, line {number}: a field must not begin with a star")
        lines.append(Expected(*cells))
    return lines


def split(
    all_differences: Iterable[Difference], expected: list[Expected]
) -> tuple[list[Difference], dict[Expected, list[Difference]]]:
    """Returns the differences that no line covers, and the differences that each line covers."""
    covered: dict[Expected, list[Difference]] = {line: [] for line in expected}
    others = []
    for difference in all_differences:
        lines = [line for line in expected if line.covers(difference)]
        for line in lines:
            covered[line].append(difference)
        if not lines:
            others.append(difference)
    return others, covered


def excerpts(difference: Difference, width: int) -> tuple[str, str]:
    """Returns both values, from where they begin to differ if they are long."""
    texts = [" ".join(text.split()) for text in (difference.before, difference.after)]
    if max(map(len, texts)) <= width:
        return texts[0], texts[1]
    same = next((i for i, pair in enumerate(zip(*texts, strict=False)) if len({*pair}) > 1), None)
    begin = max(0, (min(map(len, texts)) if same is None else same) - width // 3)
    tails = [("..." if begin else "") + text[begin:] for text in texts]
    cut = [text if len(text) <= width else f"{text[: width - 3]}..." for text in tails]
    return cut[0], cut[1]
