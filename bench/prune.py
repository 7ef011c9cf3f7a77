"""What enxuto prune leaves of a model, beside llama-quantize --prune-layers; llama.cpp is the judge of all files.

For each share, enxuto takes as much out of the layers in each way that it knows. llama-quantize takes whole layers out: it
does not choose them, so it gets those that enxuto finds by true KL divergence. llama-perplexity sets each file
against the reference on the evaluation text; speed and memory are those of enxuto bench and run, in turn with the
reference's. --front compresses what is left of each share to each of --sizes: pruning and fewer bits together.
--vocabulary MODEL cuts that model's vocabulary to what such text needs, and compares bits per byte, on the same stretches
of the text for both. --plot draws what bench/results.csv has of the model.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import quality
import speed

WAYS = {"auto": ["--what", "auto"], "channels": ["--what", "channels", "--uniform"], "heads": ["--what", "heads"],
        "blocks": ["--what", "blocks"]}
DOES_NOT_FIT = 4  # exit code
STRETCH_BYTES, STRETCH_CHUNKS = 10000, 2  # of text, and of 512 tokens in it
JUDGED = {"kld": ("mean KLD", "nats", r"^Mean +KLD: *([-0-9.]+)"),
          "ppl": ("perplexity", "", r"^Mean PPL\(Q\) *: *([-0-9.]+)"),
          "ppl_reference": ("perplexity of the reference", "", r"^Mean PPL\(base\) *: *([-0-9.]+)")}


def prune(args, model, path, options):
    """The report of enxuto prune; none where this kind of part has not as much to take."""
    command = [speed.PROGRAM, "prune", model, "-o", path, "--force", "--json", "-t", args.threads, "--calibration",
               args.calibration, "--effort", args.effort, *options]
    process = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    if process.returncode == DOES_NOT_FIT:
        return None
    if process.returncode:
        sys.exit(f"failed ({process.returncode}): {' '.join(str(c) for c in command)}")
    return json.loads(process.stdout)


def stock_layers(bench, gone, path):
    """llama-quantize without these layers; judged."""
    speed.run([bench.peer / "llama-quantize", "--prune-layers", ",".join(map(str, gone)), bench.args.model, path, "COPY"])
    return bench.judge(path, JUDGED) | {"bytes": path.stat().st_size}


def decode_ratio(args, path, repeat=5):
    """Tokens per second of the reference and of a file, in turn: medians."""
    speeds = [[], []]
    for _ in range(repeat):
        for model, found in zip((args.model, path), speeds):
            output, _ = speed.run([speed.PROGRAM, "bench", model, "-t", args.threads, "--prefill", 16, "--decode", 64,
                                   "--repeat", 1, "--json"])
            found.append(json.loads(output)["decode_tokens_per_second"])
    return [statistics.median(found) for found in speeds]


def peak(model, threads):
    return speed.write([speed.PROGRAM, "run"], model, threads, 32)[0]


def compare(args, bench, scratch):
    """Rows of results.csv, printed on the way."""
    name = args.model.stem
    whole = {"bytes": args.model.stat().st_size, "rss": peak(args.model, args.threads)}
    print(f"{'':22}{'bytes':>14}{'peak RSS':>10}{'decode':>9}{'mean KLD':>10}{'perplexity':>12}{'took':>8}")
    print(f"{'whole':22}{whole['bytes']:>14,}{whole['rss'] / (1 << 20):>7.1f} MiB")
    for share in args.remove:
        judged = {}
        for way in args.ways:
            options = WAYS[way]
            path = scratch / f"{way}.gguf"
            report = prune(args, args.model, path, [*options, "--remove", share])
            if not report:
                print(f"{way + f' {100 * share:.0f} %':22}not as much to take")
                continue
            found = bench.judge(path, JUDGED)
            before, after = decode_ratio(args, path)
            rss = peak(path, args.threads)
            print(f"{way + f' {100 * share:.0f} %':22}{path.stat().st_size:>14,}{rss / (1 << 20):>7.1f} MiB"
                  f"{after / before:>7.2f} x{found['kld']:>10.4f}{found['ppl']:>12.2f}{report['seconds']:>6.0f} s", flush=True)
            title = f"prune --remove {share} {' '.join(options)}, {name}"
            yield f"{title}: file beside the whole model's", "bytes", path.stat().st_size, whole["bytes"]
            yield f"{title}: peak RSS beside the whole model's", "bytes", rss, whole["rss"]
            yield f"{title}: decode 64 beside the whole model's, {args.threads} threads", "tokens/s", after, before
            yield f"{title}: mean KLD, {args.chunks} chunks", "nats", found["kld"], None
            yield f"{title}: perplexity beside the whole model's", "", found["ppl"], found["ppl_reference"]
            judged[way] = found
            if way == "blocks":
                kept = {layer["layer"] for layer in report["layers"]}
                total = 1 + max(kept)  # the last block is never worth removing
                theirs = stock_layers(bench, [layer for layer in range(total) if layer not in kept], scratch / "stock.gguf")
                print(f"{'llama-quantize':22}{theirs['bytes']:>14,}{'':19}{theirs['kld']:>10.4f}{theirs['ppl']:>12.2f}")
                ours = judged.get("auto", found)
                yield (f"prune --remove {share}, {name}, beside llama-quantize --prune-layers: perplexity", "", ours["ppl"],
                       theirs["ppl"])
                yield (f"prune --remove {share}, {name}, beside llama-quantize --prune-layers: mean KLD", "nats", ours["kld"],
                       theirs["kld"])


def front(args, bench, scratch):
    """Pruned, then compressed; every size of a share by one measurement of its errors."""
    print(f"{'':22}{'bytes':>14}{'mean KLD':>10}{'perplexity':>12}")
    for share in args.front:
        lean, small = args.model, scratch / "small.gguf"
        if share:
            lean = scratch / "lean.gguf"
            prune(args, args.model, lean, [*WAYS["auto"], "--remove", share])
        with tempfile.TemporaryDirectory(dir=scratch) as state:
            for size in args.sizes:
                if size >= lean.stat().st_size:
                    continue
                speed.run([speed.PROGRAM, "compress", lean, "-o", small, "--force", "--size", size, "--calibration",
                           args.calibration, "--effort", args.effort, "--state", state, "-t", args.threads])
                found = bench.judge(small, JUDGED)
                print(f"{f'{100 * share:.0f} % less':22}{small.stat().st_size:>14,}{found['kld']:>10.4f}{found['ppl']:>12.2f}",
                      flush=True)
                effort = "" if args.effort == "normal" else f" --effort {args.effort}"
                title = f"prune --remove {share}{effort}, then compress --size {size}, {args.model.stem}"
                yield f"{title}: mean KLD, {args.chunks} chunks", "nats", found["kld"], None
                yield f"{title}: perplexity beside the whole model's", "", found["ppl"], found["ppl_reference"]


def stretches(text, count):
    """Parts of a text, evenly spread, each from the beginning of a line."""
    lines, at = text.splitlines(keepends=True), 0
    begins = []
    for line in lines:
        begins.append(at)
        at += len(line)
    for i in range(count):
        wanted = i * max(at - STRETCH_BYTES, 0) // count
        begin = next(begin for begin in begins if begin >= wanted)
        yield text[begin:begin + STRETCH_BYTES]


def cut_vocabulary(args, scratch):
    path, part = scratch / "vocabulary.gguf", scratch / "part.txt"
    report = prune(args, args.vocabulary, path, ["--what", "vocabulary"])
    print(f"{args.vocabulary.stem}: {report['tokens']:,} tokens, {report['file_bytes']:,} of {report['input_bytes']:,} bytes")
    bits, size = [0, 0], [0, 0]
    for text in stretches(args.text.read_bytes(), args.stretches):
        part.write_bytes(text.decode(errors="ignore").encode())
        for i, model in enumerate((path, args.vocabulary)):
            output, _ = speed.run([speed.PROGRAM, "eval", model, part, "--chunks", STRETCH_CHUNKS, "-t", args.threads, "--json"])
            found = json.loads(output)
            bits[i] += found["bits_per_byte"] * found["scored_bytes"]
            size[i] += found["scored_bytes"]
    bits = [b / n for b, n in zip(bits, size)]
    print(f"bits per byte of text {bits[0]:.4f}, of the whole model {bits[1]:.4f}: {bits[0] / bits[1]:.4f}")
    title = f"prune --what vocabulary, {args.vocabulary.stem}"
    yield f"{title}: file beside the whole model's", "bytes", report["file_bytes"], report["input_bytes"]
    yield (f"{title}: bits per byte beside the whole model's, {args.stretches} stretches of {STRETCH_CHUNKS} chunks", "bits",
           bits[0], bits[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="the reference, in f16 or the like")
    parser.add_argument("--calibration", type=pathlib.Path, required=True, help="text that pruning fits on")
    parser.add_argument("--text", type=pathlib.Path, required=True, help="text that files are judged on: another one")
    parser.add_argument("--remove", type=float, nargs="*", default=[0.1, 0.2, 0.3, 0.5], help="of the layers")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--front", type=float, nargs="*", default=[], help="shares, each compressed to --sizes; 0: not pruned")
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="bytes of --front's files")
    parser.add_argument("--vocabulary", type=pathlib.Path, help="a model whose vocabulary is cut")
    parser.add_argument("--stretches", type=int, default=24, help="of the text, for --vocabulary")
    parser.add_argument("--effort", choices=["fast", "normal", "best"], default="normal")
    parser.add_argument("--chunks", type=int, default=24, help="of the text that files are judged on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, default=quality.CACHE, help=f"folder (default: {quality.CACHE})")
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    parser.add_argument("--plot", type=pathlib.Path, help="an SVG of what results.csv has")
    args = parser.parse_args()
    if args.plot:
        import prune_plot  # before hours of work, and where it is asked for only: it needs matplotlib
    peer = speed.find_peer()
    if not peer:
        sys.exit("llama.cpp is not built: ENXUTO_PEER_BIN names a folder with llama-quantize and llama-perplexity")
    bench = quality.Quality(args, peer)
    with tempfile.TemporaryDirectory(dir=args.keep) as scratch:
        rows = list(compare(args, bench, pathlib.Path(scratch))) if args.remove else []
        rows += front(args, bench, pathlib.Path(scratch))
        if args.vocabulary:
            rows += cut_vocabulary(args, pathlib.Path(scratch))
    if args.record:
        speed.append(rows)
    if args.plot:
        prune_plot.draw(args.model.stem, args.plot)


if __name__ == "__main__":
    main()
