"""Prints the closing table of the demo from the JSON reports in a folder."""
import json
import pathlib
import sys


def load(folder, name):
    return {k: v for part in ("eval", "bench") for k, v in json.loads((folder / f"{name}-{part}.json").read_text()).items()}


def main():
    folder = pathlib.Path(sys.argv[1])
    before, after = load(folder, "before"), load(folder, "after")
    rows = [
        ("file", "file_bytes", lambda v: f"{v:,} bytes"),
        ("peak memory", "peak_rss_bytes", lambda v: f"{v / 2**20:.1f} MiB"),
        ("perplexity", "perplexity", lambda v: f"{v:.2f}"),
        ("mean KL divergence", "kld_mean", lambda v: f"{v:.4f}"),
        ("same first choice", "same_top", lambda v: f"{100 * v:.1f} %"),
        ("prefill", "prefill_tokens_per_second", lambda v: f"{v:.0f} tokens/s"),
        ("decode", "decode_tokens_per_second", lambda v: f"{v:.1f} tokens/s"),
        ("first token", "time_to_first_token_seconds", lambda v: f"{v:.2f} s"),
    ]
    print(f"\n{'':20}{'before':>20}{'after':>20}{'ratio':>9}")
    for name, key, text in rows:
        ratio = f"{after[key] / before[key]:.3f}" if key not in ("kld_mean", "same_top") else ""
        print(f"{name:20}{text(before[key]):>20}{text(after[key]):>20}{ratio:>9}")


main()
