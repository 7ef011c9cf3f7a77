#!/usr/bin/env python3
"""Checks that transformers loads what `enxuto export` writes, and gives the same logits and token ids.

    python3 tools/check_export.py BUILD [MODEL.gguf TEXT]...

BUILD   the build folder (enxuto, tests/make_tiny, tests/print_logits, tests/print_tokens)
Needs torch, transformers, tokenizers, gguf and numpy. First tiny models of each architecture, in F32: the logits of the
last of 24 tokens, and the ids of some texts. Then the tokenizers of src/tokenizer/testdata, whose ids are stock
llama.cpp's. Then real models, with a text. It fails where a weight has no place or no source, an id differs, or logits
are further apart than f16's rounding of the KV cache: 2e-3 of their spread.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

TESTDATA = Path(__file__).resolve().parent.parent / "src/tokenizer/testdata/tokenizers.json"
TINY = [("llama", ["no-factors"]), ("llama", ["no-factors", "biases"]), ("qwen2", []), ("qwen3", []), ("gemma3", []), ("gpt2", [])]
TEXTS = ["the tone\n of 12 and another's ñ", " 日本 \t  x\r\n\r\n", "a" * 40,
         "<|im_start|>user\n  in the rest<|im_end|>"]
# Added tokens that overlap: the leftmost is found there, the longest by llama.cpp.
OVERLAPPING = b"xab<abc><ab"
LIMIT = 2e-3


def run(*command, **options):
    return subprocess.run([*map(str, command)], check=True, capture_output=True, **options).stdout


def check_logits(build, path, folder, tokens):
    model, told = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager")
    # Where q, k and v of a llama have biases it has one here, too, and makes it zero.
    missing = {name for name in told["missing_keys"] if not name.endswith("o_proj.bias")}
    assert not missing and not told["unexpected_keys"], told
    with torch.no_grad():
        theirs = model.eval()(torch.tensor([tokens])).logits[0, -1].numpy()
    ours = np.frombuffer(run(build / "tests/print_logits", path, *tokens), np.float32)
    error = float(np.sqrt(((ours - theirs) ** 2).mean()) / theirs.std())
    assert error < LIMIT, error
    return error


def check_ids(build, path, folder, texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in texts:
        ours = [int(i) for i in run(build / "tests/print_tokens", path, input=text.encode()).split()]
        theirs = tokenizer(text)["input_ids"]
        assert ours == theirs, (text, ours, theirs)
    return len(texts)


def check_tiny(build, folder):
    for architecture, more in TINY:
        out = folder / "-".join([architecture, *more])
        path = out.with_suffix(".gguf")
        run(build / "tests/make_tiny", architecture, "F32", path, *more)
        run(build / "enxuto", "export", path, "-o", out)
        tokens = [(7 * i * i + 11 * i + 5) % 288 for i in range(24)]
        print(f"{architecture} {' '.join(more)}: logits {check_logits(build, path, out, tokens):.1e} of their spread apart, "
              f"{check_ids(build, path, out, TEXTS)} texts alike")


def write_llama(path, vocabulary, pre, options):
    """A model of one small layer with this tokenizer."""
    writer, n = gguf.GGUFWriter(path, "llama"), len(vocabulary["tokens"])
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(vocabulary["model"])
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary["tokens"])
    writer.add_token_types(vocabulary["types"])
    for key, add in ("merges", writer.add_token_merges), ("scores", writer.add_token_scores):
        if key in vocabulary:
            add(vocabulary[key])
    writer.add_bos_token_id(vocabulary["bos"])
    writer.add_eos_token_id(vocabulary["eos"])
    for key, value in options.items():
        writer.add_bool(f"tokenizer.ggml.{key}", value)
    shapes = {"token_embd": (n, 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    for name in "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down":
        shapes[f"blk.0.{name}"] = (32, 32)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def is_text(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def check_tokenizers(build, folder):
    golden = json.loads(TESTDATA.read_text())
    texts = [bytes.fromhex(text) for text in golden["texts_hex"]]
    for i, case in enumerate(golden["cases"]):
        name = f"{case['vocabulary']} {case['pre']} {case['options'] or ''}"
        path, out = folder / f"tokenizer{i}.gguf", folder / f"tokenizer{i}"
        write_llama(path, golden["vocabularies"][case["vocabulary"]], case["pre"], case["options"])
        done = subprocess.run([build / "enxuto", "export", path, "-o", out], capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: {done.stderr.splitlines()[0]}")
            continue
        tokenizer = transformers.AutoTokenizer.from_pretrained(out)
        alike = 0
        for text, ids in zip(texts, case["special"]):
            if text == OVERLAPPING or not is_text(text):
                continue
            theirs = tokenizer(text.decode())["input_ids"]
            assert theirs == ids, (name, text, ids, theirs)
            alike += 1
        print(f"{name}: {alike} texts alike")


def check_real(build, folder, path, text):
    out = folder / Path(path).stem
    run(build / "enxuto", "export", path, "-o", out)
    text = Path(text).read_text()[:20000]
    check_ids(build, path, out, [text, *TEXTS])
    ids = [int(i) for i in run(build / "tests/print_tokens", path, input=text.encode()).split()][:64]
    print(f"{Path(path).stem}: logits {check_logits(build, path, out, ids):.1e} of their spread apart, ids alike")


def main():
    build, real = Path(sys.argv[1]).resolve(), sys.argv[2:]
    print(f"transformers {transformers.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        check_tiny(build, Path(folder))
        check_tokenizers(build, Path(folder))
        for path, text in zip(real[0::2], real[1::2]):
            check_real(build, Path(folder), path, text)


if __name__ == "__main__":
    main()
