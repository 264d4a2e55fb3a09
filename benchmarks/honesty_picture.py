"""Draws how often four intervals of a best value contain the truth: docs/images/honesty.svg.

    python -m benchmarks.honesty_picture docs/images/honesty.svg --studies 1000

Studies are simulated: nothing is trained. A trial classifies a sample rightly if the sum of the
trial's quality, its seed's luck, the sample's ease and noise is positive. So the truth is known.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from scipy import stats

from tracking.report import charts
from tracking.statistics.corrections import confirmed_value, corrected
from tracking.statistics.sample_scores_and_resamples import SampleScores

TRIALS, SAMPLES, SEEDS = 40, 360, 5
# Standard deviations of the four parts of a sample's sum.
QUALITY, LUCK, EASE, NOISE = 0.12, 0.05, 1.0, 0.35
TYPICAL = 0.95

Bounds = tuple[float, float, float]


@dataclass(frozen=True)
class Simulated:
    """A simulated study.

    Attributes:
        values: The validation accuracy of each trial.
        truth: The accuracy of the chosen trial's configuration on new data, under new seeds.
        ways: The chosen trial's value and its interval's bounds, by the way to state them.
    """

    values: np.ndarray
    truth: float
    ways: dict[str, Bounds]

    @property
    def reported(self) -> float:
        """The best value."""
        return float(self.values.max())


REPORTED = "Reported: the best of 40"
SAME = "5 new seeds, same samples"
CORRECTED = "Expect: corrected"
CONFIRMED = "Expect: confirmed"
WAYS = (REPORTED, SAME, CORRECTED, CONFIRMED)


def simulated(seed: int) -> Simulated:
    """Returns a study: tuned on validation samples, confirmed on test samples."""
    random = np.random.default_rng(seed)
    spread = math.sqrt(LUCK**2 + EASE**2 + NOISE**2)
    qualities = stats.norm.ppf(TYPICAL) * spread + random.normal(0, QUALITY, TRIALS)
    validation, test = random.normal(0, EASE, (2, SAMPLES))

    def scores(of: np.ndarray, ease: np.ndarray) -> np.ndarray:
        """Returns which samples trainings classify rightly, shape (trainings, samples)."""
        trained = of + random.normal(0, LUCK, len(of))
        noise = random.normal(0, NOISE, (len(of), len(ease)))
        right: np.ndarray = trained[:, None] + ease + noise > 0
        return right.astype(np.float32)

    hits = scores(qualities, validation)
    values = hits.mean(axis=1).astype(float)
    chosen = int(values.argmax())
    again = np.full(SEEDS, qualities[chosen])
    means = scores(again, validation).mean(axis=1)
    half = stats.t.ppf(0.975, SEEDS - 1) * means.std(ddof=1) / math.sqrt(SEEDS)
    of_samples = {
        number: [SampleScores("val_accuracy", "mean", row, 1)] for number, row in enumerate(hits)
    }
    best = corrected(of_samples, "max").estimate
    on_test = [SampleScores("accuracy", "mean", row, 1) for row in scores(again, test)]
    confirmed, _ = confirmed_value(on_test, "max")
    naive = stats.binomtest(round(values[chosen] * SAMPLES), SAMPLES).proportion_ci(method="wilson")
    mean = float(means.mean())
    return Simulated(
        values,
        float(stats.norm.cdf(qualities[chosen] / spread)),
        {
            REPORTED: (values[chosen], naive.low, naive.high),
            SAME: (mean, mean - half, mean + half),
            CORRECTED: (best.value, best.low, best.high),
            CONFIRMED: (confirmed.value, confirmed.low, confirmed.high),
        },
    )


def picture(studies: list[Simulated]) -> alt.LayerChart:
    """Returns a chart of one study, and of how often each interval contains the truth in all.

    The study is the one whose best value is too high by the median amount.
    """
    studies = sorted(studies, key=lambda study: study.reported - study.truth)
    example = studies[len(studies) // 2]
    rows = []
    for way in WAYS:
        coverage = np.mean(
            [study.ways[way][1] <= study.truth <= study.ways[way][2] for study in studies]
        )
        value, low, high = map(float, example.ways[way])
        share = f"{100 * coverage:.{int(0.995 < coverage < 1)}f} %"
        rows.append({"way": way, "value": value, "low": low, "high": high, "holds": share})
    trials = "The 40 trials"
    y = alt.Y("way:N", sort=[trials, *WAYS], title=None, axis=alt.Axis(labelLimit=220))
    scale = alt.Scale(zero=False, nice=False, domain=_domain(example))
    x = alt.X("value:Q", title="accuracy", scale=scale, axis=alt.Axis(format=".0%", tickCount=6))
    color = alt.Color("way:N", legend=None, scale=_colors())
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y)
    points = [{"way": trials, "value": float(value)} for value in example.values]
    caption = f"holds the truth\nin {len(studies):,} studies"
    truth = alt.Chart(alt.InlineData(values=[{"value": example.truth}])).encode(x=x)
    layers = [
        truth.mark_rule(strokeDash=[5, 4], color=charts.INK),
        truth.mark_text(
            text="the truth: new data, new seeds", y=-8, align="center", color=charts.INK
        ),
        alt.Chart(alt.InlineData(values=points))
        .mark_point(filled=True, color=charts.GREY, opacity=0.35, size=70)
        .encode(x=x, y=y),
        base.mark_rule(strokeWidth=4, strokeCap="round").encode(
            x="low:Q", x2="high:Q", color=color
        ),
        base.mark_point(filled=True, size=110, opacity=1).encode(x=x, color=color),
        base.mark_text(align="right", fontSize=14, fontWeight=600).encode(
            x=alt.value(_WIDTH + 120), text="holds:N", color=color
        ),
        alt.Chart(alt.InlineData(values=[{"way": trials}]))
        .mark_text(align="right", lineBreak="\n", text=caption)
        .encode(x=alt.value(_WIDTH + 120), y=y),
    ]
    chart: alt.LayerChart = alt.LayerChart(layer=layers).properties(
        width=_WIDTH,
        height=230,
        title=alt.Title(
            "A study of 40 trials, and what was said of its best",
            subtitle=[
                f"Of {len(studies):,} simulated studies, the one whose best value is too high by "
                "the median amount.",
                f"{SAMPLES} validation samples, {SAMPLES} test samples; lines are 95 % intervals.",
            ],
        ),
    )
    return chart


_WIDTH = 420


def _colors() -> alt.Scale:
    colors = (charts.ORANGE, charts.ORANGE, charts.BLUE, charts.BLUE)
    return alt.Scale(domain=list(WAYS), range=list(colors))


def _domain(study: Simulated) -> list[float]:
    bounds = [bound for way in study.ways.values() for bound in way]
    every = [*bounds, *study.values]
    return [math.floor(100 * min(every)) / 100, min(1.0, math.ceil(100 * max(every)) / 100)]


def main() -> None:
    """Simulates studies and draws the picture."""
    import vl_convert

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--studies", type=int, default=1000)
    options = parser.parse_args()
    chart: dict[str, Any] = picture([simulated(seed) for seed in range(options.studies)]).to_dict()
    config = {**charts.config(), "background": "white", "padding": 16}
    options.file.write_text(vl_convert.vegalite_to_svg({**chart, "config": config}))


if __name__ == "__main__":
    main()
