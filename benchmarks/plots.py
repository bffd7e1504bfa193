"""Draw the detection benchmark's comparison, as SVG that is the same for the same figures."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

from benchmarks.detection_rivals import CHANGES, Comparison


def plot(comparisons: list[Comparison], folder: Path) -> None:
    """Draw false alarms and delays at 100 features, as SVG."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tidegauge"
    folder.mkdir(exist_ok=True)
    chosen = [comparison for comparison in comparisons if comparison.features == 100]
    names = [comparison.rival for comparison in chosen]
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.barh(names, [max(comparison.alarms_per_10k, 0.01) for comparison in chosen])
    axes.set_xscale("log")
    axes.axvline(0.1, color="black", linestyle=":")
    axes.set_xlabel("false alarms per 10,000 rows of 100 features (dotted: the budget)")
    axes.invert_yaxis()
    figure.savefig(folder / "false-alarms.svg", metadata={"Date": None})
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    width = 0.8 / len(chosen)
    for k, comparison in enumerate(chosen):
        means = [found.mean if found.rows else 0.0 for found in comparison.delays.values()]
        axes.bar(np.arange(len(CHANGES)) + k * width, means, width, label=comparison.rival)
    axes.set_xticks(np.arange(len(CHANGES)) + 0.4, list(CHANGES))
    axes.set_yscale("log")
    axes.set_ylabel("mean rows until found")
    axes.legend(fontsize="small")
    figure.savefig(folder / "delays.svg", metadata={"Date": None})
