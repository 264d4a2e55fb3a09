"""Compares kerastudy with other ways to tune, on the same work, in turn.

    python -m benchmarks.peers --data mnist.npz
    python -m benchmarks.peers --work dense --systems kerastudy by-hand --trials 100 --json
    python -m benchmarks.peers --quick

Each system in turn runs a block of trials in processes of its own; the second round takes the
systems in reverse order. All systems tune the same space with the same builder and number of
epochs, which is checked in their records. Everything is written to a temporary folder. Systems on
Ray use one cluster, which is started before all systems and does not count as their start-up.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers.figures import Block, Figures, block_of, ratios
from benchmarks.peers.job import Job
from benchmarks.peers.ray_cluster import RayCluster, ray_cluster
from benchmarks.peers.systems import DATA_VARIABLE, OURS, WORKERS, System, systems
from benchmarks.peers.table import print_table
from benchmarks.peers.works import WORKS, Work, check_trials
from benchmarks.peers.works_data import QUICK_SIZES, SIZES, prepare

_ROOT = Path(__file__).resolve().parents[2]
_INSTALL = 'pip install -c constraints.txt -e ".[bench]"'
_QUICK_EPOCHS = 2
# Two warm up and two are measured: trials that run in pairs end at nearly the same time.
_FEWEST_TRIALS = 4
_PACKAGES = ("keras", "keras-tuner", "mlflow", "optuna", "ray", "tensorflow")
# No system sends telemetry, or needs the network.
_QUIET = {
    "DO_NOT_TRACK": "true",
    "KERAS_BACKEND": "tensorflow",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Comparison:
    """Runs systems on works, in turn, and keeps their figures."""

    def __init__(self, options: argparse.Namespace, chosen: Sequence[System], folder: Path) -> None:
        self._options = options
        self._systems = chosen
        self._folder = folder
        self._cluster: RayCluster | None = None
        self.failed = False

    def work(self, work: Work) -> dict[str, Any]:
        """Returns the figures of all systems on one work."""
        options = self._options
        data = self._folder / f"{work.name}.npz"
        training, validation = QUICK_SIZES if options.quick else SIZES
        sizes = int(training * work.share), int(validation * work.share)
        samples = prepare(work.name, data, options.data, sizes)
        epochs = _QUICK_EPOCHS if options.quick else work.epochs
        blocks: dict[str, list[Block]] = {system.name: [] for system in self._systems}
        errors = {s.name: _not_installed(s) for s in self._systems if s.missing()}
        with self._on_cluster(work, data, errors):
            self._run(work, data, epochs, blocks, errors)
        self.failed = self.failed or bool(errors)
        return {
            "title": work.title,
            "samples": samples,
            "epochs": epochs,
            "batch_size": work.batch_size,
            "systems": self._documents(blocks, errors),
        }

    @contextmanager
    def _on_cluster(self, work: Work, data: Path, errors: dict[str, str]) -> Iterator[None]:
        """Starts a cluster for the systems of a work that run on Ray, if any; ends it."""
        on_ray = [s.name for s in self._systems if s.on_ray and s.name not in errors]
        log = self._folder / f"{work.name}-ray.log"
        with ExitStack() as stack:
            try:
                if on_ray:
                    cluster = ray_cluster(WORKERS, _environment(data), log)
                    self._cluster = stack.enter_context(cluster)
            except RuntimeError as error:
                errors |= dict.fromkeys(on_ray, f"failed: {error}")
                _say(f"{work.name}: {error}")
            yield

    def _run(
        self,
        work: Work,
        data: Path,
        epochs: int,
        blocks: Mapping[str, list[Block]],
        errors: dict[str, str],
    ) -> None:
        """Runs all blocks of a work; adds their figures, or why there are none."""
        options = self._options
        for number in range(options.blocks):
            for system in self._systems if number % 2 == 0 else reversed(self._systems):
                if system.name in errors:
                    continue
                folder = self._folder / f"{work.name}-{number}-{system.name}"
                folder.mkdir()
                trials = options.trials[system.name]
                job = Job(work, data, folder, trials, epochs, seed=number)
                try:
                    block = self._block(system, job)
                except Exception as error:
                    errors[system.name] = f"failed: {error}"
                    _say(f"{work.name}: {system.name} {errors[system.name]}")
                else:
                    blocks[system.name].append(block)

    def _block(self, system: System, job: Job) -> Block:
        # The module needs psutil. `main` has said how to install it if it is missing.
        from benchmarks.peers.measuring import measure

        log = job.folder.with_suffix(".log")
        environment = _environment(job.data)
        cluster = self._cluster if system.on_ray else None
        if cluster is not None:
            environment |= cluster.environment
        measured = measure(
            system.command(job),
            folder=job.folder,
            environment=environment,
            log=log,
            cluster=cluster,
        )
        if measured.code != 0:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            _say(*lines[-20:])
            raise RuntimeError(f"its command ended with {measured.code}")
        trials = system.read(job)
        check_trials(job.work, trials, job.trials, job.epochs)
        # At least as many trials are measured as are left out.
        block = block_of(measured, trials, min(system.warm_up, job.trials // 2))
        _say(
            f"{job.work.name}: {system.name}, {job.trials} trials in {block.seconds:.1f} s, "
            f"{block.steady_seconds / block.steady_trials:.2f} s per trial in the steady state"
        )
        return block

    def _documents(
        self, blocks: Mapping[str, list[Block]], errors: Mapping[str, str]
    ) -> dict[str, Any]:
        figures = {
            name: Figures(system_blocks)
            for name, system_blocks in blocks.items()
            if system_blocks and name not in errors
        }
        documents: dict[str, Any] = {}
        for system in self._systems:
            document: dict[str, Any] = {"title": system.title, "note": system.note()}
            if system.name in errors:
                document["error"] = errors[system.name]
            else:
                own, ours = figures[system.name], figures.get(OURS)
                document |= own.document()
                document["ratios_to_kerastudy"] = None if ours is None else ratios(own, ours)
            documents[system.name] = document
        return documents


def main() -> None:
    """Compares, and prints; exits with 1 if a system could not be measured."""
    all_systems = systems()
    options = _options(all_systems)
    if importlib.util.find_spec("psutil") is None:
        sys.exit(f"CPU seconds are read with psutil, which is not installed. Run: {_INSTALL}")
    chosen = [all_systems[name] for name in options.systems]
    load = os.getloadavg()[0]
    for system in chosen:
        if system.missing():
            _say(f"{system.name} {_not_installed(system)}")
    with TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
        comparison = Comparison(options, chosen, Path(folder))
        try:
            works = {name: comparison.work(WORKS[name]) for name in options.work}
        except ValueError as error:
            _say(str(error))
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(130)
    document = {
        "works": works,
        "quick": options.quick,
        "blocks": options.blocks,
        "images": "made up" if options.data is None else str(options.data),
        "machine": {
            "cores": os.cpu_count(),
            "platform": platform.platform(),
            # Processes that wanted a core before the first command, and after the last one.
            "load": [load, os.getloadavg()[0]],
        },
        "versions": {"python": platform.python_version(), **_versions()},
    }
    if options.json:
        json.dump(document, sys.stdout, indent=2)
        print()
    else:
        print_table(document)
    sys.exit(1 if comparison.failed else 0)


def _environment(data: Path) -> dict[str, str]:
    """Returns the environment of all systems."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **_QUIET, "PYTHONPATH": path, DATA_VARIABLE: str(data)}


def _options(all_systems: Mapping[str, System]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--systems", nargs="+", choices=all_systems, default=list(all_systems))
    parser.add_argument(
        "--trials",
        nargs="+",
        default=[],
        metavar="N or SYSTEM=N",
        help=f"Trials of a block, of all systems or of one; at least {_FEWEST_TRIALS}. By default: "
        + ", ".join(f"{s.name} {s.trials}" for s in all_systems.values()),
    )
    parser.add_argument("--blocks", type=int, default=2, help="Blocks of each system; default 2.")
    parser.add_argument("--data", type=Path, help="MNIST as an npz file; else made-up images.")
    parser.add_argument("--json", action="store_true", help="Print JSON in place of the table.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"See that all runs: {_FEWEST_TRIALS} trials of {_QUICK_EPOCHS} epochs on few images.",
    )
    options = parser.parse_args()
    if options.quick:
        options.blocks = 1
    if options.blocks < 1:
        parser.error(f"--blocks must be at least 1. Received: {options.blocks}.")
    if options.data is not None:
        options.data = options.data.expanduser().resolve()
    try:
        options.trials = _trials(options.trials, all_systems, quick=options.quick)
    except ValueError as error:
        parser.error(str(error))
    return options


def _trials(
    texts: Sequence[str], all_systems: Mapping[str, System], *, quick: bool
) -> dict[str, int]:
    """Reads --trials; raises ValueError with the mistake."""
    trials = {
        name: _FEWEST_TRIALS if quick else system.trials for name, system in all_systems.items()
    }
    for text in texts:
        name, equals, number = text.rpartition("=")
        if equals and name not in all_systems:
            raise ValueError(
                f"--trials {text}: no system {name!r}. There is: {', '.join(all_systems)}."
            )
        if not number.isdecimal() or int(number) < _FEWEST_TRIALS:
            raise ValueError(
                f"--trials takes whole numbers of at least {_FEWEST_TRIALS}. Received: {text!r}."
            )
        trials |= {system_name: int(number) for system_name in ([name] if equals else all_systems)}
    return trials


def _not_installed(system: System) -> str:
    packages = ", ".join(dict.fromkeys(system.missing()))
    return f"is left out: {packages} not installed. Run: {_INSTALL}"


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _say(*lines: str) -> None:
    print(*lines, sep="\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
