"""What training takes with enxuto, beside PyTorch (train_peer.py): peak memory, tokens per second, and the losses.

Both begin with the same weights and take the same batches in the same order: a random model of GPT-2's 124M shape as a
llama, and a text of made-up words, each of whose bytes is a token. Runs alternate (ours, peer, ours, ...), medians are
printed; tokens per second are those of the median step. --smallest looks for the least memory cgroup in which all
steps are done, by halving (as root); ours is told its size less 2 MiB. --record appends to bench/results.csv. Torch is
installed where it is not there yet (torch_venv.py).
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import torch_venv

if __name__ == "__main__":
    torch_venv.enter()

import gguf
import numpy as np

import speed
from cgroup import Cgroup, cgroups_work

MIB = 1 << 20
CACHE = torch_venv.VENV.parent / "train"
SHAPES = {"gpt2-124m": {"layers": 12, "width": 768, "heads": 12, "ffn": 2048, "vocabulary": 50257, "context": 1024},
          "small": {"layers": 2, "width": 128, "heads": 4, "ffn": 256, "vocabulary": 4096, "context": 1024}}
# What each side is told. bf16: each side's best for memory with AdamW; apollo: ours with next to no moments.
CASES = {
    "4x256 f32": (4, 256, ["--weights", "f32", "--optimizer", "adamw"], ["--mode", "f32"]),
    "4x256 adamw8": (4, 256, ["--optimizer", "adamw8"], ["--mode", "f32"]),
    "4x256 amp": (4, 256, ["--compute", "bf16"], ["--mode", "amp"]),
    "4x256 bf16": (4, 256, ["--weights", "bf16", "--optimizer", "adamw8", "--compute", "bf16"], ["--mode", "bf16", "--checkpointing"]),
    "4x256 apollo": (4, 256, ["--weights", "bf16", "--optimizer", "apollo", "--compute", "bf16"], ["--mode", "bf16", "--checkpointing"]),
    "4x1024 f32": (4, 1024, ["--weights", "f32", "--optimizer", "adamw"], ["--mode", "f32"]),
    "4x1024 amp": (4, 1024, ["--compute", "bf16"], ["--mode", "amp"]),
    "4x1024 bf16": (4, 1024, ["--weights", "bf16", "--optimizer", "adamw8", "--compute", "bf16"], ["--mode", "bf16", "--checkpointing"]),
}
WEIGHT_DECAY = 0.1


def byte_letters():
    """GPT-2's letter of each byte."""
    kept = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(others)) for b in range(256)]


def tokens_of(text):
    """The ids that the tokenizer of write_model gives: of each byte itself."""
    return np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype("<u2")


def write_model(path, shape, seed=1):
    """Random f32 weights, tied; a byte-level BPE whose token of each byte has its number, and more that never come."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_block_count(shape["layers"])
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(shape["width"] // shape["heads"])
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    letters = byte_letters()
    unused = [f"<unused{i}>" for i in range(len(letters) + 2, shape["vocabulary"])]
    writer.add_token_list([*letters, letters[0] * 2, "<|endoftext|>", *unused])
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL] * (1 + len(unused)))
    writer.add_token_merges([f"{letters[0]} {letters[0]}"])  # of two zero bytes: a tokenizer wants one merge
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(257)
    writer.add_add_bos_token(False)
    width, ffn, numbers = shape["width"], shape["ffn"], np.random.default_rng(seed)
    matrices = {"attn_q": (width, width), "attn_k": (width, width), "attn_v": (width, width),
                "attn_output": (width, width), "ffn_gate": (ffn, width), "ffn_up": (ffn, width), "ffn_down": (width, ffn)}

    def add(name, *rows_and_columns):
        values = numbers.standard_normal(rows_and_columns, dtype=np.float32)
        writer.add_tensor(f"{name}.weight", values * np.float32(0.02))

    add("token_embd", shape["vocabulary"], width)
    for layer in range(shape["layers"]):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(width, dtype=np.float32))
        for name, size in matrices.items():
            add(f"blk.{layer}.{name}", *size)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_text(path, length, seed=1):
    """Sentences of made-up words, common ones more often, of at least `length` bytes."""
    choose = random.Random(seed)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    words = ["".join(choose.choices(syllables, k=choose.randint(1, 4))) for _ in range(2000)]
    often = [1 / (rank + 3) for rank in range(len(words))]
    sentences, size = [], 0
    while size < length:
        sentences.append(" ".join(choose.choices(words, often, k=choose.randint(4, 14))).capitalize() + ".\n")
        size += len(sentences[-1])
    path.write_text("".join(sentences), encoding="ascii")


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        CACHE.mkdir(parents=True, exist_ok=True)
        self.model = CACHE / f"{args.shape}.gguf"
        if not self.model.exists():
            write_model(self.model.with_suffix(".part"), SHAPES[args.shape])
            self.model.with_suffix(".part").rename(self.model)
        self.text, self.tokens, self.metrics = (scratch / name for name in ("text.txt", "tokens.bin", "metrics.jsonl"))
        write_text(self.text, 1 + args.steps * max(batch * context for batch, context, *_ in map(CASES.get, args.cases)))
        tokens_of(self.text.read_text(encoding="ascii")).tofile(self.tokens)

    def ours(self, case, memory=None):
        batch, context, options, _ = CASES[case]
        return [speed.PROGRAM, "train", self.model, "--data", self.text, "-o", self.scratch / "out.gguf", "--force", "--steps",
                self.args.steps, "--batch-size", batch, "--context", context, "--lr", self.args.lr, "--schedule",
                "constant", "--warmup", 0, "--weight-decay", WEIGHT_DECAY, "--clip", 0, "--no-shuffle", "--validation", 0, "-t",
                self.args.threads, "--metrics", self.metrics, "--json", *options, *(["--memory", memory] if memory else [])]

    def peer(self, case, _=None):
        batch, context, _, options = CASES[case]
        return [torch_venv.PYTHON, speed.ROOT / "bench/train_peer.py", "--model", self.model, "--tokens", self.tokens,
                "--steps", self.args.steps, "--batch", batch, "--context", context, "--lr", self.args.lr,
                "--weight-decay", WEIGHT_DECAY, "--threads", self.args.threads, *options]

    def run_ours(self, case):
        """Peak RSS, tokens per second of the median step, and losses."""
        self.metrics.unlink(missing_ok=True)
        _, peak = speed.run(self.ours(case))
        steps = [json.loads(line) for line in self.metrics.read_text().splitlines()]
        return peak, statistics.median(step["tokens_per_second"] for step in steps[1:]), [step["loss"] for step in steps]

    def run_peer(self, case):
        output, peak = speed.run(self.peer(case))
        report = json.loads(output.splitlines()[-1])
        return peak, report["tokens_per_second"], report["loss"]

    def sides(self):
        return {"ours": self.run_ours, "peer": self.run_peer} if self.args.side == "both" else {
            self.args.side: getattr(self, f"run_{self.args.side}")}

    def compare(self, case):
        """Rows of results.csv, printed on the way."""
        runs = {side: [] for side in self.sides()}
        for _ in range(self.args.repeat):
            for side, run in self.sides().items():
                runs[side].append(run(case))
        found = {}
        for side, all_of_side in runs.items():
            peak, tokens_per_second = (statistics.median(run[i] for run in all_of_side) for i in (0, 1))
            peak = int(peak)
            losses = all_of_side[0][2]
            found[side] = peak, tokens_per_second, losses
            print(f"{case:14}{side:6}{peak / MIB:>10.1f} MiB{tokens_per_second:>10.1f} tokens/s   loss {losses[0]:.5f} ... "
                  f"{losses[-1]:.5f}", flush=True)
        if len(found) < 2:
            return
        ours, theirs = found["ours"], found["peer"]
        apart = max(abs(a - b) for a, b in zip(ours[2], theirs[2]))
        print(f"{'':20}memory {ours[0] / theirs[0]:.2f} x, speed {ours[1] / theirs[1]:.2f} x, losses at most {apart:.1e} apart")
        title = f"train {case} beside {' '.join(CASES[case][3])}, {self.args.shape}"
        yield f"{title}: peak RSS", "bytes", ours[0], theirs[0]
        yield f"{title}: median step, {self.args.threads} threads", "tokens/s", ours[1], theirs[1]
        yield f"{title}: loss of step {self.args.steps}", "nats", ours[2][-1], theirs[2][-1]

    def finishes(self, command, limit, seconds):
        """Whether a program comes to its end in a cgroup that all it reads is charged to; not by reading its pages over
        and over, so within some seconds."""
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1", encoding="ascii")
        with Cgroup(limit) as group:
            process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, preexec_fn=group.enter)
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            group.clear()
            process.wait()
            return code == 0 and group.kills() == 0

    def least(self, case, side, command):
        """The least limit found, to one part in fifty. Tried are those from twice the peak without one down, each for at
        most 30 seconds and three times as long as that took."""
        begun = time.monotonic()
        high = 2 * self.sides()[side](case)[0]
        low, seconds = high // 64, 30 + 3 * (time.monotonic() - begun)

        def fits(limit):
            return self.finishes(command(case, limit - 2 * MIB), limit, seconds)

        if not fits(high):
            raise SystemExit(f"{case}, {side}: not even {high / MIB:.0f} MiB are enough")
        while high - low > high / 50:
            middle = (low + high) // 2 // MIB * MIB
            low, high = (low, middle) if fits(middle) else (middle, high)
        print(f"{case:14}{side:6}{high / MIB:>10.1f} MiB is the least cgroup", flush=True)
        return high

    def smallest(self, case):
        found = {side: self.least(case, side, getattr(self, side)) for side in self.sides()}
        if len(found) == 2:
            yield (f"train {case} beside {' '.join(CASES[case][3])}, {self.args.shape}: least memory cgroup for "
                   f"{self.args.steps} steps", "bytes", found["ours"], found["peer"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=["4x256 f32", "4x1024 f32", "4x1024 bf16"])
    parser.add_argument("--shape", choices=list(SHAPES), default="gpt2-124m", help="small: to try this program itself")
    parser.add_argument("--side", choices=["both", "ours", "peer"], default="both")
    parser.add_argument("--smallest", action="store_true", help="look for the least cgroup instead (as root)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    args = parser.parse_args()
    if args.smallest and not cgroups_work():
        raise SystemExit("no memory cgroup can be made here (root can, where one is mounted)")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(args, pathlib.Path(scratch))
        rows = [row for case in args.cases for row in (bench.smallest(case) if args.smallest else bench.compare(case))]
    if args.record:
        speed.append(rows)


if __name__ == "__main__":
    main()
