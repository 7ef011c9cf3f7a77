#!/usr/bin/env python3
"""Writes tests/parity/testdata/logits.json: what stock llama.cpp answers to tiny random models.

    python3 tools/golden_logits.py MAKE_TINY PEER_SOURCE PEER_LIB

MAKE_TINY    build/tests/make_tiny
PEER_SOURCE  the unpacked source of llama-cpp-python (its ctypes bindings)
PEER_LIB     the folder of libllama.so
Stock runs without flash attention, its cache in f16, all tokens in one pass, on one thread. Needs numpy.
"""
import ctypes
import itertools
import json
import os
import subprocess
import sys
import tempfile
import types
import typing
from pathlib import Path

import numpy as np

ARCHITECTURES = ["llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2"]
MIXTURES = ["mixtral", "qwen2moe", "qwen3moe"]
TYPES = ["F32", "F16", "Q8_0", "Q4_0"]
MIXED_TYPES = ["F32", "Q8_0", "Q4_0"]
WIDE = [("llama", "Q6_K")]  # with super-blocks: needs a width of 256
TOKENS = [(7 * i * i + 11 * i + 5) % 288 for i in range(30)]
ROWS = [12, 29]  # positions whose logits are kept
SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


def load_bindings(source: str, lib: str):
    """The ctypes bindings of stock llama.cpp, silenced."""
    os.environ["LLAMA_CPP_LIB_PATH"] = lib
    sys.modules.setdefault("typing_extensions", typing)  # the bindings want TypeAlias of it
    package = types.ModuleType("llama_cpp")  # without its __init__, which wants more packages
    package.__path__ = [str(Path(source) / "llama_cpp")]
    sys.modules["llama_cpp"] = package
    import llama_cpp.llama_cpp as bindings

    bindings.llama_log_set(SILENT, ctypes.c_void_p(0))
    bindings.llama_backend_init()
    return bindings


def stock_logits(stock, path: str) -> np.ndarray:
    model = stock.llama_model_load_from_file(path.encode(), stock.llama_model_default_params())
    assert model, f"stock does not load {path}"
    params = stock.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 64
    params.n_threads = params.n_threads_batch = 1
    params.flash_attn_type = 0
    context = stock.llama_init_from_model(model, params)
    batch = stock.llama_batch_init(len(TOKENS), 0, 1)
    batch.n_tokens = len(TOKENS)
    for i, token in enumerate(TOKENS):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, i in ROWS
    assert stock.llama_decode(context, batch) == 0
    n = stock.llama_vocab_n_tokens(stock.llama_model_get_vocab(model))
    rows = [np.ctypeslib.as_array(stock.llama_get_logits_ith(context, i), (n,)).copy() for i in ROWS]
    stock.llama_batch_free(batch)
    stock.llama_free(context)
    stock.llama_model_free(model)
    return np.stack(rows)


def main() -> None:
    make_tiny, source, lib = sys.argv[1:4]
    stock = load_bindings(source, lib)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        plain, mixed = itertools.product(ARCHITECTURES, TYPES), itertools.product(MIXTURES, MIXED_TYPES)
        for architecture, type_name in [*plain, *mixed, *WIDE]:
            path = str(Path(folder) / f"{architecture}-{type_name}.gguf")
            subprocess.run([make_tiny, architecture, type_name, path], check=True)
            logits = stock_logits(stock, path)
            print(architecture, type_name, "spread", float(logits.std()))
            rows = [[float(f"{x:.6g}") for x in row] for row in logits]
            cases.append({"architecture": architecture, "type": type_name, "logits": rows})
    out = Path(__file__).resolve().parent.parent / "tests/parity/testdata/logits.json"
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps({"tokens": TOKENS, "positions": ROWS})[:-1]
    out.write_text(f'{head}, "cases": [\n{text}\n]}}\n')
    print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
