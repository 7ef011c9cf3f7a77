#!/usr/bin/env python3
"""Golden figures of the codecs: what the gguf package and stock llama.cpp say of the same pseudo-random data.

    golden_codecs.py FOLDER_OF_LIBGGML_BASE > src/codecs/testdata/golden.txt

    decode TYPE HASH ORACLE FIRST…   FNV-1a over the float bits of 64 random blocks (any NaN counts as 7fc00000)
    encode TYPE ERROR                stock's weighted squared error over the weighted squares, on values and importances
                                     that src/codecs/codec_test.cpp makes in the same way

Of enxuto's own sparse formats numpy is the oracle: it reads their blocks as they are drawn in src/codecs/, and writes
them in the plainest way (the 16 largest values; scales of the largest value, each rounded to the nearest level).
"""
import ctypes
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

BLOCKS = 64
ROWS, COLUMNS = 16, 1024
MASK = (1 << 64) - 1
WEIGHTLESS = {"I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"}


def splitmix64(seed):
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def random_bytes(seed, n):
    stream = splitmix64(seed)
    return np.frombuffer(b"".join(next(stream).to_bytes(8, "little") for _ in range((n + 7) // 8))[:n], np.uint8)


def fnv1a(values):
    bits = values.astype(np.float32).view(np.uint32).copy()
    bits[np.isnan(values)] = 0x7FC00000
    h = 0xCBF29CE484222325
    for byte in bits.tobytes():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
SPARSE = {"SF16": (65536, 36), "SQ8_0": (65537, 22), "SQ4_NL": (65538, 14)}


def sparse_decode(name, raw):
    blocks = raw.reshape(-1, SPARSE[name][1])
    if name == "SF16":
        bitmaps, stored = blocks[:, :4], np.ascontiguousarray(blocks[:, 4:]).view(np.float16).astype(np.float32)
    else:
        scales = np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)
        bitmaps, codes = blocks[:, 2:6], blocks[:, 6:]
        if name == "SQ8_0":
            stored = np.ascontiguousarray(codes).view(np.int8).astype(np.float32)
        else:
            stored = IQ4[np.concatenate([codes & 15, codes >> 4], axis=1)]
        stored = stored * scales
    present = np.unpackbits(np.ascontiguousarray(bitmaps), axis=1, bitorder="little").astype(bool)
    places = np.cumsum(present, axis=1) - 1
    return np.where(present & (places < 16), np.take_along_axis(stored, np.minimum(np.maximum(places, 0), 15), axis=1),
                    np.float32(0))


def sparse_round_trip(name, x):
    x = x.reshape(-1, 32)
    kept = np.where(np.argsort(np.argsort(-np.abs(x), axis=1), axis=1) < 16, x, 0)
    if name == "SF16":
        return kept.astype(np.float16).astype(np.float32)
    scales = (np.abs(kept).max(axis=1, keepdims=True) / 127).astype(np.float16).astype(np.float32)
    levels = kept / np.where(scales == 0, 1, scales)
    if name == "SQ8_0":
        return np.rint(levels) * scales
    nearest = IQ4[np.abs(levels[:, :, None] - IQ4).argmin(axis=2)]
    return np.where(kept == 0, 0, nearest * scales)


def uniform(stream):
    return ((next(stream) >> 40) + 0.5) / (1 << 24)


def sample():
    """Values with the tails that weights have (a product of two uniforms, now and then an outlier), and importances."""
    stream = splitmix64(2026)
    x = np.empty(ROWS * COLUMNS, np.float32)
    for i in range(x.size):
        a, b, c = uniform(stream), uniform(stream), uniform(stream)
        x[i] = (a + b - 1) * c * (4 if i % 97 == 0 else 1)
    w = np.array([(lambda u: 0.02 + u ** 8 * 10)(uniform(stream)) for _ in range(COLUMNS)], np.float32)
    return x, w


def main():
    base = ctypes.CDLL(sys.argv[1] + "/libggml-base.so")
    base.ggml_quantize_chunk.restype = ctypes.c_size_t
    floats = ctypes.POINTER(ctypes.c_float)

    def stock_decode(name, raw, n):
        out = np.empty(n, np.float32)
        getattr(base, "dequantize_row_" + name.lower())(
            raw.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(floats), ctypes.c_int64(n))
        return out

    x, w = sample()
    kinds = {kind.name: (int(kind), *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType}
    kinds.setdefault("Q2_0", (42, 64, 18))  # newer than the package
    def print_decoded(name, out, oracle):
        out = np.asarray(out, np.float32).reshape(-1)
        print("decode", name, f"{fnv1a(out):016x}", oracle, *[f"{v:.9g}" for v in out[:4]])

    def print_error(name, back):
        weights = np.tile(w, ROWS).astype(np.float64)
        off = (back.astype(np.float64).reshape(-1) - x) ** 2
        print("encode", name, f"{(weights * off).sum() / (weights * x.astype(np.float64) ** 2).sum():.6e}")

    for name, (kind, values, size) in kinds.items():
        if name in WEIGHTLESS:
            continue
        count = BLOCKS if values > 1 else 4096
        raw = random_bytes(kind, count * size)
        oracle = "gguf"
        try:
            with np.errstate(all="ignore"):
                if name == "F32":
                    out = raw.view(np.float32)
                elif name == "F16":
                    out = raw.view(np.float16).astype(np.float32)
                else:
                    out = dequantize(raw, GGMLQuantizationType(kind))
        except (NotImplementedError, ValueError):
            oracle, out = "llama.cpp", stock_decode(name, raw, count * values)
        print_decoded(name, out, oracle)
        if values == 1:
            continue
        packed = np.zeros(x.size // values * size, np.uint8)
        base.ggml_quantize_chunk(ctypes.c_int(kind), x.ctypes.data_as(floats), packed.ctypes.data_as(ctypes.c_void_p),
                                 ctypes.c_int64(0), ctypes.c_int64(ROWS), ctypes.c_int64(COLUMNS), w.ctypes.data_as(floats))
        back = stock_decode(name, packed, x.size) if oracle == "llama.cpp" else np.asarray(
            dequantize(packed, GGMLQuantizationType(kind))).reshape(-1)
        print_error(name, back)
    for name, (kind, size) in SPARSE.items():
        print_decoded(name, sparse_decode(name, random_bytes(kind, BLOCKS * size)), "numpy")
        print_error(name, sparse_round_trip(name, x))


main()
