"""Bach's chorales (PyPI music21): a network beside k-grams on pieces held out, and tunes beside those.

The model is trained where it is not there yet (~/.cache/enxuto/create; three minutes); then it is judged by what
`create music` reports, as it is and compressed.
"""
import json
import statistics
import subprocess
import sys

import speed
import torch_venv

TOOLS = speed.ROOT / "tools"
CACHE = torch_venv.VENV.parent / "create"


def add_options(parser):
    """None of its own."""


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def compressed(model, bits, *options):
    """The model with so many bits a weight, beside it."""
    out = model.with_suffix(f".{bits}.gguf")
    if not out.exists():
        run(speed.PROGRAM, "compress", model, "-o", out, "--bpw", bits, *options)
    return out


def measure(args, scratch, seeds=8, bars=16):
    CACHE.mkdir(parents=True, exist_ok=True)
    chorales, model = CACHE / "chorales", CACHE / "chorales.gguf"
    train, held_out = chorales / "train", chorales / "held-out"
    if not chorales.exists():
        run(sys.executable, TOOLS / "fetch_chorales.py", chorales)
    if not model.exists():
        run(speed.PROGRAM, "train", "--media", "music", "--data", train, "--params", "1M", "--epochs", "7", "--batch-size",
            "4", "--compute", "bf16", "-o", model)
    tune = scratch / "tune.mid"
    command = [speed.PROGRAM, "create", "music", model, "-o", tune, "--force", "--bars", bars, "--json", "--compare", train]
    tunes = [json.loads(run(*command, "--seed", seed)) for seed in range(1, seeds + 1)]
    heard = json.loads(run(*command, "--held-out", held_out))["held_out"]
    yield "music, held out: network beside k-grams", "nats", heard["nll_per_note"], heard["k_gram_nll_per_note"]
    yield "music, held out: mixture beside k-grams", "nats", heard["mixture_nll_per_note"], heard["k_gram_nll_per_note"]
    for bits in (8.6, 4.6):
        command[3] = compressed(model, bits, "--calibration", train)
        loss = json.loads(run(*command, "--held-out", held_out))["held_out"]["nll_per_note"]
        yield f"music, held out: network of {bits} bits beside f32", "nats", loss, heard["nll_per_note"]
    yield (f"music, {seeds} tunes of {bars} bars beside pieces held out: notes in key", "score",
           statistics.mean(t["share_in_key"] for t in tunes), heard["share_in_key"])
    yield (f"music, {seeds} tunes of {bars} bars beside pieces held out: longest match, median", "notes",
           statistics.median(t["longest_match"] for t in tunes), heard["longest_match_median"])
    yield (f"music, {seeds} tunes of {bars} bars beside pieces held out: longest match, most", "notes",
           max(t["longest_match"] for t in tunes), heard["longest_match_most"])
