#!/usr/bin/env python3
"""Writes src/infer/testdata/sampler.txt: which tokens stock llama.cpp's sampler chain lets through, and how likely.

    python3 tools/golden_sampler.py PEER_SOURCE PEER_LIB      (as for golden_logits.py)

case TEMPERATURE TOP_K TOP_P MIN_P REPEAT_PENALTY REPEAT_LAST_N
accepted TOKEN…
logits FLOAT…
kept TOKEN:PROBABILITY…
"""
import ctypes
import sys
from pathlib import Path

import numpy as np

from golden_logits import load_bindings

VOCABULARY = 50
# temperature, top-k, top-p, min-p, repeat penalty, over the last n
CASES = [
    (0.8, 40, 0.95, 0.05, 1.0, 64),
    (1.0, 0, 1.0, 0.0, 1.0, 64),
    (1.5, 5, 1.0, 0.0, 1.0, 64),
    (0.7, 0, 0.6, 0.0, 1.0, 64),
    (1.0, 0, 1.0, 0.2, 1.0, 64),
    (0.8, 40, 0.95, 0.05, 1.5, 4),
    (2.0, 20, 0.9, 0.1, 1.2, 64),
]
ACCEPTED = [3, 8, 3, 17, 20, 3, 41, 8]


def chain_of(stock, case):
    temperature, top_k, top_p, min_p, penalty, last_n = case
    chain = stock.llama_sampler_chain_init(stock.llama_sampler_chain_default_params())
    for sampler in (
        stock.llama_sampler_init_penalties(VOCABULARY, last_n, penalty, 0.0, 0.0),
        stock.llama_sampler_init_top_k(top_k),
        stock.llama_sampler_init_top_p(top_p, 1),
        stock.llama_sampler_init_min_p(min_p, 1),
        stock.llama_sampler_init_temp(temperature),
    ):
        stock.llama_sampler_chain_add(chain, sampler)
    return chain


def kept(stock, case, logits):
    chain = chain_of(stock, case)
    for token in ACCEPTED:
        stock.llama_sampler_accept(chain, token)
    data = (stock.llama_token_data * VOCABULARY)(*[(i, float(x), 0.0) for i, x in enumerate(logits)])
    array = stock.llama_token_data_array(data, VOCABULARY, -1, False)
    stock.llama_sampler_apply(chain, ctypes.byref(array))
    tokens = [array.data[i].id for i in range(array.size)]
    values = np.array([array.data[i].logit for i in range(array.size)], np.float64)
    weights = np.exp(values - values.max())
    return sorted(zip(tokens, weights / weights.sum()))


def main() -> None:
    stock = load_bindings(*sys.argv[1:3])
    random = np.random.default_rng(7)
    lines = []
    for case in CASES:
        logits = np.round(random.normal(0, 2, VOCABULARY), 3).astype(np.float32)
        lines.append("case " + " ".join(map(str, case)))
        lines.append("accepted " + " ".join(map(str, ACCEPTED)))
        lines.append("logits " + " ".join(f"{x:g}" for x in logits))
        lines.append("kept " + " ".join(f"{t}:{p:.6f}" for t, p in kept(stock, case, logits)))
    out = Path(__file__).resolve().parent.parent / "src/infer/testdata/sampler.txt"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
    print(out, out.stat().st_size, "bytes")


main()
