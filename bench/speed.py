"""Speed and memory of enxuto, beside llama.cpp's where its programs are at hand.

The model is dropped from the page cache first, so that how it lies there is not left to whoever
wrote it. Runs alternate (ours, peer, ours, ...), so that a busy machine disturbs both alike;
medians are printed. The peer: a folder with llama-bench and llama-completion, from ENXUTO_PEER_BIN, or the
newest ~/.cache/enxuto-peer/*/bin. ENXUTO names another program than build/enxuto, here and for
the other benchmarks. --record appends the figures to bench/results.csv.
"""
import argparse
import csv
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("ENXUTO", ROOT / "build/enxuto"))
RESULTS = ROOT / "bench" / "results.csv"
FIELDS = ["date", "machine", "commit", "command", "unit", "ours", "peer", "ratio"]


def find_peer():
    if folder := os.environ.get("ENXUTO_PEER_BIN"):
        return pathlib.Path(folder)
    found = sorted((pathlib.Path.home() / ".cache/enxuto-peer").glob("*/bin/llama-bench"))
    return found[-1].parent if found else None


def run(command):
    """Standard output and peak RSS (bytes) of a program."""
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed ({process.returncode}): {' '.join(str(c) for c in command)}")
    return output.decode(errors="replace"), usage.ru_maxrss * 1024


def ours_speed(model, threads, args):
    output, _ = run([PROGRAM, "bench", model, "-t", threads, "--prefill", args.prefill,
                     "--decode", args.decode, "--repeat", 1, "--json"])
    report = json.loads(output)
    return report["prefill_tokens_per_second"], report["decode_tokens_per_second"]


def peer_speed(peer, model, threads, args):
    output, _ = run([peer / "llama-bench", "-m", model, "-t", threads, "-p", args.prefill, "-n",
                     args.decode, "-r", 1, "-o", "json"])
    by_kind = {test["n_prompt"] > 0: test["avg_ts"] for test in json.loads(output)}
    return by_kind[True], by_kind[False]


def drop_from_cache(model):
    with open(model, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write(program, model, threads, tokens):
    """Peak RSS (bytes) and seconds of a whole run, from the command to its end."""
    start = time.perf_counter()
    _, peak = run([*program, "-m", model, "-p", "Once upon a time", "-n", tokens, "-c", 2048, "-t",
                   threads, "--temp", 0])
    return peak, time.perf_counter() - start


def measure(args, peer):
    """(command, unit, ours, peer) of every figure; peer None where it is not built."""
    name = pathlib.Path(args.model).stem
    drop_from_cache(args.model)
    for threads in args.threads:
        ours, theirs = [], []
        for _ in range(args.repeat):
            ours.append(ours_speed(args.model, threads, args))
            if peer:
                theirs.append(peer_speed(peer, args.model, threads, args))
        for i, kind in enumerate((f"prefill {args.prefill}", f"decode {args.decode}")):
            yield (f"{kind}, {threads} threads, {name}", "tokens/s",
                   statistics.median(pair[i] for pair in ours),
                   statistics.median(pair[i] for pair in theirs) if peer else None)
    threads = args.threads[-1]
    ours_run, peer_run = [PROGRAM, "run"], [peer / "llama-completion", "-no-cnv"] if peer else None
    seconds = [[], []]
    for _ in range(args.repeat):
        for program, times in zip((ours_run, peer_run), seconds):
            if program:
                times.append(write(program, args.model, threads, 1)[1])
    yield (f"first token, program started and ended, {threads} threads, {name}", "s",
           statistics.median(seconds[0]), statistics.median(seconds[1]) if peer else None)
    yield (f"peak RSS of run -c 2048, {name}", "bytes", write(ours_run, args.model, threads, 32)[0],
           write(peer_run, args.model, threads, 32)[0] if peer else None)


def machine():
    """The processor with its family and model (several share a name), and the cores."""
    facts = {}
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    kind = "/".join(facts[name] for name in ("cpu family", "model") if name in facts)
    return f"{facts.get('model name', platform.machine())}{f' ({kind})' if kind else ''}, {os.cpu_count()} cores"


def commit():
    text = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True,
                          text=True, check=True).stdout.strip()
    changed = subprocess.run(["git", "-C", ROOT, "diff", "--quiet", "HEAD"], check=False).returncode
    return text + ("+" if changed else "")


def show(value, unit):
    return "-" if value is None else f"{value:,.0f}" if unit == "bytes" else f"{value:,.4f}" if unit == "score" else f"{value:,.2f}"


def append(figures):
    """Appends (command, unit, ours, peer) of each figure to results.csv."""
    fresh = not RESULTS.exists()
    with open(RESULTS, "a", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        if fresh:
            writer.writerow(FIELDS)
        for command, unit, ours, theirs in figures:
            digits = 6 if unit in ("nats", "score") else 2
            writer.writerow([datetime.date.today().isoformat(), machine(), commit(), command, unit,
                             round(ours, digits), "" if theirs is None else round(theirs, digits),
                             f"{ours / theirs:.3f}" if theirs else ""])


def report(measured, record):
    """Prints figures as they come, and appends them to results.csv where they are to be kept."""
    print("peer:", find_peer() or "not built (ENXUTO_PEER_BIN names a folder with llama-bench)")
    print(f"{'':78}{'ours':>14}{'peer':>14}{'ratio':>8}")
    figures = []
    for command, unit, ours, theirs in measured:
        ratio = f"{ours / theirs:.3f}" if theirs else ""
        print(f"{command + ' (' + unit + ')':78}{show(ours, unit):>14}{show(theirs, unit):>14}{ratio:>8}",
              flush=True)
        figures.append((command, unit, ours, theirs))
    if record:
        append(figures)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    args = parser.parse_args()
    report(measure(args, find_peer()), args.record)


if __name__ == "__main__":
    main()
