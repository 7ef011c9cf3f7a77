"""What enxuto plans to take, against what the kernel counts: the grid, and the proof in a cgroup.

Each cell is a model, a command, a context and a KV format (compress has neither of the last two). It is planned
(`enxuto plan --json`), run in a memory cgroup without a limit, and its peak taken: the larger of the cgroup's own and of
the peak RSS, since pages of libraries and models that others have in use are charged to them. Then the proof: in a
cgroup of exactly the plan plus 2 MiB the cell has to finish, with nothing killed; and 10 % below the least plan of all
(which streams every weight) it has to be refused with exit code 4 before work starts. Needs root, for cgroups.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import speed
from cgroup import Cgroup, cgroups_work

MIB = 1 << 20
ALLOWANCE = 2 * MIB
PROMPT = "The first thing that a visitor sees is"
DEMO_TEXT = speed.ROOT / "bench/demo.txt"


def run(command, limit=None):
    """Exit code, peak bytes and OOM kills of a command in a cgroup of its own."""
    with Cgroup(limit) as group:
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=group.enter)
        error = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, max(group.peak(), usage.ru_maxrss * 1024), group.kills(), error


def plan(model, goal, options, memory=None):
    """The plan's total, and whether it fits."""
    command = [speed.PROGRAM, "plan", model, "--for", goal, "--json", "--memory", memory or "1TiB", *options]
    output = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False).stdout
    return json.loads(output)["total_bytes"]


def cells(model, contexts, kv_formats, goals, scratch):
    """(name, goal, options of both plan and command, command) of each."""
    for goal in goals:
        sizes = contexts if goal != "compress" else [None]
        for context in sizes:
            for kv in kv_formats if goal != "compress" else ["f16"]:
                options = ["-t", "2"] + (["-c", context] if context else [])
                if kv != "f16":
                    options += ["-ctk", kv, "-ctv", kv]
                name = " ".join(str(p) for p in (pathlib.Path(model).stem, goal, context or "", kv) if p)
                command = {
                    "run": ["run", model, "-p", PROMPT * max(1, ((context or 0) - 24) // 8), "-n", 16, "--temp", 0],
                    "bench": ["bench", model, "--prefill", (context or 64) - 1, "--decode", 8, "--repeat", 1],
                    "eval": ["eval", model, scratch / "text.txt", "--chunks", 1],
                    "compress": ["compress", model, "-o", scratch / "out.gguf", "--force", "--bpw", 5],
                }[goal]
                yield name, goal, options, [speed.PROGRAM, *command, *options]


def check(name, goal, options, command, model, args):
    """One row of figures, and whether all was kept; --quick asks not how close the plan is."""
    planned = plan(model, goal, options)
    code, peak, kills, error = run([*command, "--memory", planned])
    off = (planned - peak) / peak
    kept = code == 0 and kills == 0 and (args.quick or 0 <= off <= 0.03)
    proofs = ""
    if not args.no_proof:
        limited = run([*command, "--memory", planned], planned + ALLOWANCE)
        least = plan(model, goal, options, 1)
        refused = run([*command, "--memory", int(least * 0.9)])
        proofs = f"{'finished' if limited[0] == 0 and limited[2] == 0 else f'FAILED {limited[0]}, {limited[2]} kills'}" \
                 f", below {least / MIB:.1f} MiB {'refused' if refused[0] == 4 else f'exit {refused[0]}'}"
        kept &= limited[0] == 0 and limited[2] == 0 and refused[0] == 4
    print(f"{name:52}{planned / MIB:10.1f}{peak / MIB:10.1f}{100 * off:8.1f} %  {proofs}", flush=True)
    if code != 0:
        print("   ", error.strip().splitlines()[:1])
    return planned, peak, kept


def peak_rss(command):
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * 1024


def beside_peer(peer, model, repeat):
    """Median peak RSS of ours and of the peer's at context 2,048, taken in turns."""
    common = ["-m", model, "-p", "Once upon a time", "-n", 32, "-c", 2048, "-t", 2, "--temp", 0]
    pairs = [(peak_rss([speed.PROGRAM, "run", *common]), peak_rss([peer / "llama-completion", "-no-cnv", *common]))
             for _ in range(repeat)]
    return [statistics.median(side) for side in zip(*pairs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--context", type=int, nargs="+", default=[512, 2048, 4096])
    parser.add_argument("--kv", nargs="+", default=["f16", "q8_0"], help="KV formats")
    parser.add_argument("--for", dest="goals", nargs="+", default=["run", "eval", "compress"])
    parser.add_argument("--quick", action="store_true", help="the cells that take seconds, as ./dev test runs them")
    parser.add_argument("--no-proof", action="store_true", help="the grid only")
    parser.add_argument("--repeat", type=int, default=1, help="of the comparison of peak RSS; 0: none")
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    args = parser.parse_args()
    if not cgroups_work():
        print("skipped: no memory cgroup can be made here (root can, where one is mounted)")
        sys.exit(0 if args.quick else 1)
    if args.quick:
        args.context, args.goals, args.repeat = [512], ["run", "eval"], 0
    rows, broken = [], 0
    print(f"{'cell':52}{'planned':>10}{'peak':>10}{'off':>10}   (MiB)")
    with tempfile.TemporaryDirectory() as scratch:
        (pathlib.Path(scratch) / "text.txt").write_text(DEMO_TEXT.read_text() * (1 + max(args.context) // 500))
        for model in args.model:
            for name, goal, options, command in cells(model, args.context, args.kv, args.goals,
                                                      pathlib.Path(scratch)):
                planned, peak, kept = check(name, goal, options, command, model, args)
                broken += not kept
                rows.append((f"memory planned : peak, {name}", "bytes", planned, peak))
    peer = speed.find_peer()
    for model in args.model if peer and args.repeat else []:
        ours, theirs = beside_peer(peer, model, args.repeat)
        print(f"peak RSS at context 2,048, {pathlib.Path(model).stem}: {ours / MIB:.1f} MiB, llama.cpp "
              f"{theirs / MIB:.1f} MiB, ratio {ours / theirs:.2f}")
        rows.append((f"peak RSS of run -c 2048, {pathlib.Path(model).stem}", "bytes", ours, theirs))
    if args.record:
        speed.report(rows, True)
    print(f"{broken} cells broke their promise" if broken else "every cell kept its promise")
    sys.exit(1 if broken else 0)


main()
