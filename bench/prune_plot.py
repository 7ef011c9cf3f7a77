"""Draws what results.csv has of a pruned model: loss by bytes of each kind of part, and of pruning and fewer bits together."""
import csv
import re

import matplotlib
import speed

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "enxuto", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
from matplotlib import pyplot  # noqa: E402  # after its settings

PRUNED = r"prune --remove (?P<share>[\d.]+) --what (?P<way>\w+)[^,]*, {}: (?P<figure>file|mean KLD)"
TOGETHER = r"prune --remove (?P<share>[\d.]+)[^,]*, then compress --size (?P<size>\d+), {}: mean KLD"


def read(name):
    """Loss by bytes: of each way {way: {bytes: KLD}}, and of each share that was compressed {share: {bytes: KLD}}."""
    pruned, together = {}, {}
    with open(speed.RESULTS, newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            if found := re.match(PRUNED.format(re.escape(name)), row["command"]):
                pruned.setdefault((found["way"], found["share"]), {})[found["figure"]] = float(row["ours"])
            if found := re.match(TOGETHER.format(re.escape(name)), row["command"]):
                together.setdefault(float(found["share"]), {})[int(found["size"])] = float(row["ours"])
    ways = {}
    for (way, _), figures in pruned.items():
        ways.setdefault(way, {})[figures["file"]] = figures["mean KLD"]
    return ways, together


def curve(axes, points, **how):
    at = sorted(points)
    axes.plot([x / 1e6 for x in at], [points[x] for x in at], marker="o", markersize=3, **how)


def draw(name, path):
    ways, together = read(name)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for way, points in sorted(ways.items()):
        curve(left, points, label=way)
    left.set_title("Pruned, in 16 bits", fontsize=10)
    for share, points in sorted(together.items()):
        curve(right, points, label=f"{100 * share:.0f} % less, then fewer bits" if share else "fewer bits alone", linewidth=1)
    least = {size: min(points[size] for points in together.values() if size in points)
             for points in together.values() for size in points}
    at = sorted(least)
    right.plot([x / 1e6 for x in at], [least[x] for x in at], color="black", linewidth=4, alpha=0.15, label="the least of all")
    right.set_title("Pruned, then compressed", fontsize=10)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_xlabel("file, MB")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    left.set_ylabel("mean KL divergence, nats")
    figure.savefig(path, metadata={"Date": None})
