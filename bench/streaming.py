"""A model larger than its memory, in a memory cgroup: ours without and with drafting, beside
llama.cpp with --no-repack (with its default it is killed there). Runs alternate, medians are
printed; the cgroup counts every page, also those of the page cache. Needs root.

The model: --model. The peer: as in speed.py. --record appends the figures to bench/results.csv.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import speed
from cgroup import Cgroup

PROMPT = '''class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()

    def is_empty(self):
        return len(self.items) == 0


class Queue:
    def __init__(self):
        self.items = []

    def push(self, item):
'''


def run_within(limit, command):
    """Exit code, standard output and standard error of a program in a cgroup, with no file in the page cache: all that
    it reads is charged to it."""
    with Cgroup(limit) as group, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        code = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                              preexec_fn=group.enter, check=False).returncode
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return code, *texts


def ours(args, mib, draft):
    command = [speed.PROGRAM, "run", args.model, "--memory", f"{mib}MiB", "-c", 2048, "-t",
               args.threads, "-p", PROMPT, "-n", args.tokens, "--temp", 0, "--json"]
    code, out, err = run_within(mib << 20, command + ([] if draft else ["--draft", 0]))
    if code != 0:
        sys.exit(f"failed ({code}) in {mib} MiB: {err}")
    return json.loads(out)


def theirs(args, peer, mib):
    command = [peer / "llama-completion", "-no-cnv", "-m", args.model, "-c", 2048, "-t", args.threads, "-p", PROMPT,
               "-n", args.peer_tokens, "--temp", 0, "--no-repack"]
    code, _, err = run_within(mib << 20, command)
    speeds = re.findall(r"^.* eval time =.*?([\d.]+) tokens per second", err, re.MULTILINE)
    if code != 0 or not speeds:
        sys.exit(f"llama-completion failed ({code}) in {mib} MiB: {err[-500:]}")
    return float(speeds[-1])


def measure(args, peer):
    name = pathlib.Path(args.model).stem
    plain, drafted, peers, texts = [], [], [], set()
    for _ in range(args.repeat):
        for reports, draft in ((plain, False), (drafted, True)):
            reports.append(ours(args, args.memory, draft))
            texts.add(reports[-1]["text"])
        if peer:
            peers.append(theirs(args, peer, args.memory))
    if len(texts) != 1:
        sys.exit("drafting changed the text")
    small = [ours(args, args.small_memory, True) for _ in range(args.repeat)]
    median = lambda reports, key: statistics.median(report[key] for report in reports)
    decode = "decode_tokens_per_second"
    peer_speed = statistics.median(peers) if peers else None
    where = f"{args.memory} MiB cgroup, {name}"
    yield f"decode in a {where}", "tokens/s", median(plain, decode), peer_speed
    yield f"decode with drafting in a {where}", "tokens/s", median(drafted, decode), peer_speed
    yield f"tokens per pass with drafting in a {where}", "tokens", median(drafted, "tokens_per_pass"), 1
    yield (f"decode with drafting in a {args.small_memory} MiB cgroup, {name}", "tokens/s", median(small, decode),
           None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--memory", type=int, default=700, help="MiB")
    parser.add_argument("--small-memory", type=int, default=300, help="MiB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--peer-tokens", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    args = parser.parse_args()
    speed.report(measure(args, speed.find_peer()), args.record)


if __name__ == "__main__":
    main()
