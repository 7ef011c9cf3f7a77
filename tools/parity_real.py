#!/usr/bin/env python3
"""Compares our logits on real models with stock llama.cpp's, and fails where they drift apart.

    python3 tools/parity_real.py PRINT_LOGITS PEER_SOURCE PEER_LIB TEXT MODEL.gguf…

PRINT_LOGITS  build/tests/print_logits
PEER_SOURCE, PEER_LIB as for golden_logits.py
Both get the same tokens (the text's first ones, by stock's tokenizer), in prefixes of several lengths.
"""
import os
import subprocess
import sys

import numpy as np

from golden_logits import load_bindings

LENGTHS = [1, 17, 200, 700]
# Of the KL divergence, nats: what rounding the activations to 8 bits costs, and what f16 costs.
LIMIT_FLOAT, LIMIT_QUANTIZED = 1e-4, 2e-2


def stock_context(stock, path):
    model = stock.llama_model_load_from_file(path.encode(), stock.llama_model_default_params())
    assert model, f"stock does not load {path}"
    params = stock.llama_context_default_params()
    params.n_ctx = params.n_batch = 1024
    params.n_threads = params.n_threads_batch = os.cpu_count()
    params.flash_attn_type = 0
    return model, stock.llama_init_from_model(model, params)


def stock_logits(stock, model, context, tokens):
    stock.llama_memory_clear(stock.llama_get_memory(context), True)
    ids = (stock.llama_token * len(tokens))(*tokens)
    assert stock.llama_decode(context, stock.llama_batch_get_one(ids, len(tokens))) == 0
    n = stock.llama_vocab_n_tokens(stock.llama_model_get_vocab(model))
    return np.ctypeslib.as_array(stock.llama_get_logits_ith(context, -1), (n,)).copy()


def log_softmax(x):
    x = x.astype(np.float64) - x.max()
    return x - np.log(np.exp(x).sum())


def compare(stock, print_logits, path, text) -> bool:
    model, context = stock_context(stock, path)
    vocabulary = stock.llama_model_get_vocab(model)
    ids = (stock.llama_token * len(text))()
    n = stock.llama_tokenize(vocabulary, text, len(text), ids, len(text), True, False)
    good = True
    for length in LENGTHS:
        tokens = list(ids[: min(n, length)])
        theirs = stock_logits(stock, model, context, tokens)
        run = subprocess.run([print_logits, path, *map(str, tokens)], check=True, capture_output=True)
        ours = np.frombuffer(run.stdout, np.float32)
        error = float((ours - theirs).std() / theirs.std())
        p, q = log_softmax(theirs), log_softmax(ours)
        kld = float((np.exp(p) * (p - q)).sum())
        limit = LIMIT_FLOAT if "f16" in path else LIMIT_QUANTIZED
        good &= kld < limit
        print(f"{os.path.basename(path)}: {length} tokens: relative error {error:.5f}, KL divergence {kld:.6f} (limit {limit}), "
              f"{'same' if ours.argmax() == theirs.argmax() else 'OTHER'} top token")
    stock.llama_free(context)
    stock.llama_model_free(model)
    return good


def main() -> None:
    print_logits, source, lib, text_path, *models = sys.argv[1:]
    stock = load_bindings(source, lib)
    text = open(text_path, "rb").read(8000)
    sys.exit(0 if all([compare(stock, print_logits, path, text) for path in models]) else 1)


main()
