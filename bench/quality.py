"""Quality of enxuto compress beside llama.cpp's presets, at the same bytes; llama.cpp is the judge of both.

For each preset llama-quantize makes its file with an importance matrix of the calibration text, and enxuto makes one
of at most its bytes from the same text. llama-perplexity sets both against the reference on the evaluation text:
chunks of 512 tokens, the second half of each scored. Reference logits and importance matrices are kept in a folder,
under names that change with what they were made of; models are made anew. Steps alternate between the two sides.
"""
import argparse
import hashlib
import json
import pathlib
import re
import sys
import tempfile
import time

import speed

CACHE = pathlib.Path.home() / ".cache/enxuto/quality"
CONTEXT = 512
ATTEMPTS = 10  # llama-perplexity sometimes ends before its last lines are written
JUDGED = {"kld": ("mean KLD", "nats", r"^Mean +KLD: *([-0-9.]+)"),
          "kld_p99": ("99 % KLD", "nats", r"^99\.0% +KLD: *([-0-9.]+)"),
          "same_top": ("same top", "%", r"^Same top p: *([-0-9.]+)")}


def took(command):
    """What a program wrote, with its seconds and peak RSS."""
    start = time.monotonic()
    output, peak = speed.run(command)
    return output, {"seconds": time.monotonic() - start, "peak_rss": peak}


def text_id(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Quality:
    def __init__(self, args, peer):
        self.args, self.peer = args, peer
        stat = args.model.stat()
        self.model_id = [str(args.model.resolve()), stat.st_size, stat.st_mtime_ns, peer.parent.name]
        args.keep.mkdir(parents=True, exist_ok=True)

    def kept(self, kind, made_of, command):
        """A file that command(path) makes, kept with its figures; made where it is not there yet."""
        key = hashlib.sha256(repr((self.model_id, made_of)).encode()).hexdigest()[:12]
        path = self.args.keep / f"{self.args.model.stem}.{key}.{kind}"
        figures = path.with_suffix(".json")
        if not (path.exists() and figures.exists()):
            print(f"making {path}", file=sys.stderr, flush=True)
            figures.write_text(json.dumps(took(command(path))[1]))
        return path, json.loads(figures.read_text())

    def logits(self):
        args = self.args
        return self.kept("logits", [text_id(args.text), args.chunks], lambda path: [
            self.peer / "llama-perplexity", "-m", args.model, "-f", args.text, "-c", CONTEXT, "--chunks", args.chunks,
            "-t", args.threads, "--kl-divergence-base", path])[0]

    def stock(self, preset, path):
        """Makes llama.cpp's file; what that took, its importance matrix included."""
        args = self.args
        matrix, spent = self.kept("imatrix.gguf", [text_id(args.calibration), args.calibration_chunks], lambda path: [
            self.peer / "llama-imatrix", "-m", args.model, "-f", args.calibration, "-c", CONTEXT, "--chunks",
            args.calibration_chunks, "-t", args.threads, "-o", path])
        _, quantized = took([self.peer / "llama-quantize", "--imatrix", matrix, args.model, path, preset, args.threads])
        return {"bytes": path.stat().st_size, "seconds": spent["seconds"] + quantized["seconds"],
                "peak_rss": max(spent["peak_rss"], quantized["peak_rss"])}

    def ours(self, size, path):
        state = ["--state", self.args.state] if self.args.state else []
        _, spent = took([speed.PROGRAM, "compress", self.args.model, "-o", path, "--force", "--size", size, "--calibration",
                         self.args.calibration, "--effort", self.args.effort, "-t", self.args.threads, *state])
        return {"bytes": path.stat().st_size, **spent}

    def judge(self, path, judged=JUDGED):
        """Figures of a file: name to (label, unit, pattern of llama-perplexity's line)."""
        for _ in range(ATTEMPTS):
            output, _ = took([self.peer / "llama-perplexity", "-m", path, "-t", self.args.threads, "--kl-divergence",
                              "--kl-divergence-base", self.logits(), "--chunks", self.args.chunks])
            found = {name: re.search(pattern, output, re.MULTILINE) for name, (_, _, pattern) in judged.items()}
            if all(found.values()):
                return {name: float(match[1]) for name, match in found.items()}
        sys.exit(f"llama-perplexity says nothing of {path.name}: has the text {self.args.chunks} chunks?")

    def compare(self):
        """(preset, size asked of ours, figures of ours, of stock) of each preset, then of each size alone."""
        with tempfile.TemporaryDirectory(dir=self.args.keep) as scratch:
            stock, ours = pathlib.Path(scratch) / "stock.gguf", pathlib.Path(scratch) / "ours.gguf"
            for preset in self.args.preset:
                theirs = self.stock(preset, stock)
                mine = self.ours(theirs["bytes"], ours)
                theirs |= self.judge(stock)
                yield preset, theirs["bytes"], mine | self.judge(ours), theirs
            for size in self.args.size:
                mine = self.ours(size, ours)
                yield None, size, mine | self.judge(ours), None


def line(name, figures):
    return (f"{name:22}{figures['bytes']:>15,}{figures['kld']:>11.5f}{figures['kld_p99']:>11.4f}"
            f"{figures['same_top']:>9.2f} %{figures['seconds']:>8.0f} s{figures['peak_rss'] / (1 << 20):>10.1f} MiB")


def ratios(ours, theirs):
    share = {name: ours[name] / theirs[name] if theirs[name] else float("nan") for name in theirs}
    return (f"{'  ratio':22}{share['bytes']:>15.5f}{share['kld']:>11.3f}{share['kld_p99']:>11.3f}"
            f"{share['same_top']:>11.3f}{share['seconds']:>10.2f}{share['peak_rss']:>14.2f}")


def rows_of(args, preset, size, ours, theirs):
    """As results.csv keeps them."""
    effort = "" if args.effort == "normal" else f" --effort {args.effort}"
    name = f"compress --size {size}{effort}, {args.model.stem}" + (f", beside {preset} with imatrix" if preset else "")
    for key, (label, unit, _) in JUDGED.items():
        yield f"{name}: {label}, {args.chunks} chunks", unit, ours[key], theirs[key] if theirs else None
    for key, label, unit in (("bytes", "bytes", "bytes"), ("seconds", "seconds", "seconds"),
                             ("peak_rss", "peak RSS", "bytes")):
        yield f"{name}: {label}", unit, ours[key], theirs[key] if theirs else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="the reference, in f16 or the like")
    parser.add_argument("--calibration", type=pathlib.Path, required=True, help="text that both sides fit on")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="text that both are judged on: another one")
    parser.add_argument("--preset", nargs="*", default=["Q4_K_M", "Q2_K"], help="of llama-quantize")
    parser.add_argument("--size", type=int, nargs="*", default=[], help="bytes for ours alone")
    parser.add_argument("--effort", choices=["fast", "normal", "best"], default="normal", help="of enxuto compress")
    parser.add_argument("--state", type=pathlib.Path,
                        help="folder of enxuto compress --state: the model is measured once for all sizes, and only the\n"
                        "first one's time has the measurement in it")
    parser.add_argument("--calibration-chunks", type=int, default=60, help="of 512 tokens, for the importance matrix")
    parser.add_argument("--chunks", type=int, default=24, help="of the text that both are judged on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, default=CACHE, help=f"folder (default: {CACHE})")
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    args = parser.parse_args()
    if args.record and args.state:
        parser.error("--record is of whole compressions: leave --state out")
    peer = speed.find_peer()
    if not peer:
        sys.exit("llama.cpp is not built: ENXUTO_PEER_BIN names a folder with llama-quantize, llama-imatrix and "
                 "llama-perplexity")
    quality = Quality(args, peer)
    quality.logits()
    print(f"{'':22}{'bytes':>15}{'mean KLD':>11}{'99 % KLD':>11}{'same top':>11}{'took':>10}{'peak RSS':>14}")
    rows = []
    for preset, size, ours, theirs in quality.compare():
        if theirs:
            print(line(f"{preset}, stock", theirs))
        print(line("  ours" if theirs else f"--size {size}", ours))
        if theirs:
            print(ratios(ours, theirs))
        sys.stdout.flush()
        rows += rows_of(args, preset, size, ours, theirs)
    if args.record:
        speed.append(rows)


if __name__ == "__main__":
    main()
