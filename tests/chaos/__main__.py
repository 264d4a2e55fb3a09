"""``python -m tests.chaos``: exits with 0 only if no fault has left a trace in the record.

``--simulated`` tries all kinds of faults, on workers that train nothing; what happens follows from
the seed of each study, so that ``--seed N --studies 1`` does the same again.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from killing import REPEATABLE, Campaign, drawn, undisturbed
from study_record import differences


def main() -> int:
    """Runs studies until there were so many kills; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many processes to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--workers", type=int, default=1, help="trials to run at once")
    parser.add_argument("--trials", type=int, default=30, help="of each study")
    parser.add_argument("--simulated", action="store_true", help="all kinds of faults, much faster")
    parser.add_argument("--studies", type=int, default=100, help="how many, if simulated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kerastudy-chaos-") as temporary:
        folder = Path(temporary) / "chaos"
        # An exporter of a launch's process would take time of another clock.
        os.environ["KERASTUDY_MLFLOW"] = "off"
        if options.simulated:
            return run_simulated(folder, options.seed, options.studies)
        return run(folder, options.kills, options.trials, options.workers, options.seed)


def run_simulated(folder: Path, seed: int, studies: int) -> int:
    """Runs studies under simulated faults, each under a seed of its own."""
    from faults import campaigns, prepare

    prepare(folder)
    happened, bad = Counter[str](), 0
    for campaign, faults in campaigns(folder, range(seed, seed + studies)):
        happened += campaign.happened
        bad += bool(faults)
        if faults:
            print(campaign.plan, *faults, sep="\n    ", flush=True)
    print(f"{studies} studies from seed {seed} on: {happened}; in {bad} they left a trace")
    return 1 if bad else 0


def run(folder: Path, kills: int, trials: int, workers: int, seed: int) -> int:
    """Compares killed studies with an undisturbed one, each with about as many kills as trials."""
    arguments = REPEATABLE if workers > 1 else ()
    expected = undisturbed(folder / "undisturbed", trials, workers, arguments)
    bad, counts, slowest = 0, Counter[str](), 0.0
    while (rest := kills - counts.total()) > 0:
        number = seed + counts.total()
        campaign = Campaign(folder / f"study-{number}", trials, workers, arguments, print)
        campaign.run(drawn(min(rest, trials), trials, number))
        faults = [*differences(expected, campaign.record()), *campaign.left_behind()]
        counts += campaign.counts
        slowest = max(slowest, campaign.slowest)
        bad += bool(faults)
        print(f"{counts.total()} kills, {campaign.launches} launches", *faults, sep="\n    ")
    print(
        f"{counts}, {bad} studies not identical to the undisturbed one; workers ended "
        f"{slowest:.1f} s after their driver at most"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
