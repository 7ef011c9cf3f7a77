#!/usr/bin/env python3
"""Writes src/tokenizer/testdata/tokenizers.json: tiny vocabularies of our own, and the ids that stock
llama.cpp gives for hard texts with each.

Usage: golden_tokenizer.py PATH/libllama.so        (needs the gguf package)
"""
import collections
import ctypes
import json
import pathlib
import re
import sys
import tempfile

import gguf

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = """The lean model runs where the big one does not: 12 layers, 3 heads, 4096 tokens of context.
Um modelo enxuto cabe na memória que você tem; ele não esquece o começo da conversa, e não é lento.
for (int i = 0; i < 100; ++i) { sum += x[i] * y[i]; }  // it's a dot product, don't you think?
def load(path):\n    with open(path) as f:\n        return f.read()\n\n\n
Ünïcödé, 日本語の文, русский язык, ελληνικά, हिन्दी, العربية, 한국어. 3.14159, 2026-11-25, 1,000,000!!!
WE'RE HERE'S I'll they'd we've; "quoted" 'single' (paren) [bracket] {brace} <tag> a=b $x ^y ~z `w`
"""
PRE = ["default", "gpt-2", "smollm", "qwen2", "qwen35", "dbrx", "llama-bpe", "chatglm-bpe", "glm4",
       "falcon", "gpt-4o", "tekken", "seed-coder", "bailingmoe"]  # fmt: skip
HARD = [
    "", " ", "   ", "\n", "\n\n \n", "\r\n\r\n", "\t\tx", "Hello world", "  Hello  world  ", "it's I'LL you'Re 'S ' s ''ve",
    "1234567 12 3.14 ٣٤٥ ½²Ⅷ", "Olá, você não está só: ação, coração, à toa.", "e\u0301 x\u0300\u0301y", "👩‍👩‍👧‍👦 🏳️‍🌈👍🏽",
    "日本語の文。русский язык ελληνικά हिन्दी 한국어", "for (;;) { a[i]+=1; }  // x\n\tif (y)\n\n\n    z();\n",
    "\u00a0\u2003\u3000x\u2028y\u0085z", "\0a\0\0\x01\x1c\x1f\x7f", "▁ ▁▁ a▁b", "=\n==\n\n=== /\n/x\r\r\ny", "AbcDEFghI ÀÉî ÑÑñ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " " * 70 + "x",
    "<s><|im_start|>user\nhi <|im_end|>\n <|im_end|><|im_", "xab<abc><ab", "<0x41> <0x0A>", "x  \n  y \n", "don't say 'tis",
    "ꟊ\U00031350\U0010ffff\ue000\ufdd0\U0001df00", b"\xff", b"\xc0\x80\xe0\x80\x80", b"\xed\xa0\x80x", b"abc\xe2\x82", b"\xf0\x9f\x98 a\xc3(\x80",
    b"\xf8\x88\x80\x80\x80",
]  # fmt: skip


def byte_characters():
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in keep]
    return {**{b: chr(b) for b in keep}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def train_bpe(n_merges):
    """Merges of whatever pair is most frequent, over words and runs of spaces."""
    characters = byte_characters()
    words = collections.Counter(re.findall(r"\s*\S+|\s+", TEXT))
    pieces = {w: [characters[b] for b in w.encode()] for w in words}
    merges = []
    for _ in range(n_merges):
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, symbols in pieces.items():
            i = 0
            while i + 1 < len(symbols):
                if (symbols[i], symbols[i + 1]) == best:
                    symbols[i : i + 2] = ["".join(best)]
                i += 1
    # A pair that can only meet by other ways than training saw, and runs for the heap.
    merges += [("a", "a"), ("aa", "aa"), ("aaaa", "aa")]
    return list(dict.fromkeys(merges))


def bpe_vocabulary():
    merges = train_bpe(260)
    tokens = list(byte_characters().values())
    tokens += dict.fromkeys("".join(m) for m in merges if "".join(m) not in tokens)
    tokens.append("Ġmodelo")  # a whole word that no merge makes: for ignore_merges
    if "Ġmodelo" in tokens[:-1]:
        tokens.pop()
    kinds = [1] * len(tokens)
    for text, kind in [("<s>", 3), ("<|im_start|>", 3), ("<|im_end|>", 3), ("<abc>", 4), ("xab<", 4),
                       ("<unk>", 2), ("  \n", 4)]:  # fmt: skip
        tokens.append(text)
        kinds.append(kind)
    return {"model": "gpt2", "tokens": tokens, "types": kinds, "merges": [" ".join(m) for m in merges],
            "bos": tokens.index("<s>"), "eos": tokens.index("<|im_end|>")}  # fmt: skip


def spm_vocabulary():
    text = TEXT.replace(" ", "▁")
    counts = collections.Counter(text[i : i + n] for n in (1, 2, 3, 4, 5) for i in range(len(text)))
    pieces = [p for p, c in counts.most_common(700) if "\n" not in p and (c > 2 or len(p) == 1)]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    scores = [0.0] * len(tokens)
    for i, piece in enumerate(dict.fromkeys(pieces)):
        tokens.append(piece)
        kinds.append(1)
        scores.append(-float(i // 2))  # pairs of equal scores
    for special, kind in [("<|im_start|>", 3), ("<|im_end|>", 3), ("<abc>", 4), ("xab<", 4)]:
        tokens.append(special)
        kinds.append(kind)
        scores.append(0.0)
    return {"model": "llama", "tokens": tokens, "types": kinds, "scores": scores, "bos": 1, "eos": 2}


class Stock:
    class Parameters(ctypes.Structure):
        _fields_ = [("a", ctypes.c_void_p * 2), ("b", ctypes.c_int * 5), ("c", ctypes.c_void_p * 4),
                    ("vocab_only", ctypes.c_bool), ("d", ctypes.c_bool * 31)]  # fmt: skip

    def __init__(self, library):
        self.lib = lib = ctypes.CDLL(library)
        self.silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        lib.llama_log_set(self.silent, None)
        lib.llama_model_default_params.restype = self.Parameters
        lib.llama_model_load_from_file.restype = ctypes.c_void_p
        lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, self.Parameters]
        lib.llama_model_get_vocab.restype = ctypes.c_void_p
        lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p,
                                       ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]  # fmt: skip

    def load(self, path):
        parameters = self.lib.llama_model_default_params()
        parameters.vocab_only = True
        model = self.lib.llama_model_load_from_file(str(path).encode(), parameters)
        assert model, "stock llama.cpp refused the vocabulary"
        return self.lib.llama_model_get_vocab(model)

    def encode(self, vocabulary, data, add_special, parse_special):
        ids = (ctypes.c_int32 * (len(data) + 16))()
        n = self.lib.llama_tokenize(vocabulary, data, len(data), ids, len(ids), add_special, parse_special)
        assert n >= 0
        return ids[:n]


def write_gguf(path, vocabulary, pre, options):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(vocabulary["model"])
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary["tokens"])
    writer.add_token_types(vocabulary["types"])
    if "merges" in vocabulary:
        writer.add_token_merges(vocabulary["merges"])
    if "scores" in vocabulary:
        writer.add_token_scores(vocabulary["scores"])
    writer.add_bos_token_id(vocabulary["bos"])
    writer.add_eos_token_id(vocabulary["eos"])
    for key, value in options.items():
        writer.add_bool(f"tokenizer.ggml.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def main():
    stock = Stock(sys.argv[1])
    vocabularies = {"bpe": bpe_vocabulary(), "spm": spm_vocabulary()}
    cases = [("bpe", pre, {}) for pre in PRE]
    cases += [("bpe", "qwen2", {"add_bos_token": True, "add_eos_token": True})]
    cases += [("spm", "", {}), ("spm", "", {"add_space_prefix": False, "add_eos_token": True})]
    texts = [t if isinstance(t, bytes) else t.encode() for t in HARD]
    out = {"made_by": "tools/golden_tokenizer.py, ids by stock llama.cpp", "vocabularies": vocabularies,
           "texts_hex": [t.hex() for t in texts], "cases": []}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, pre, options in cases:
            path = pathlib.Path(folder) / "tiny.gguf"
            write_gguf(path, vocabularies[name], pre, options)
            vocabulary = stock.load(path)
            out["cases"].append({
                "vocabulary": name, "pre": pre, "options": options,
                "plain": [stock.encode(vocabulary, t, False, False) for t in texts],
                "special": [stock.encode(vocabulary, t, True, True) for t in texts],
            })  # fmt: skip
    target = ROOT / "src/tokenizer/testdata/tokenizers.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
