#!/usr/bin/env python3
"""Writes small valid inputs for the fuzz targets, one folder for each.   fuzz_seeds.py FOLDER"""
import json
import pathlib
import random
import struct
import sys


def codecs_seeds():
    """Every format by its place in the registry, decoded and encoded: a row of 512 values' worth of bytes."""
    rng = random.Random(1)
    values = struct.pack("<512f", *(rng.gauss(0, 1) * rng.choice((0.1, 1, 1, 10)) for _ in range(512)))
    for place in range(40):
        for what in (0, 1, 3):
            yield bytes([place, what]) + values


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def gguf_seeds():
    """One header with a value of each kind, and two tensors (F32 and Q4_0)."""
    pairs = [gguf_string("general.architecture") + struct.pack("<I", 8) + gguf_string("llama"),
             gguf_string("general.alignment") + struct.pack("<II", 4, 32),
             gguf_string("llama.context_length") + struct.pack("<IQ", 10, 2048),
             gguf_string("llama.rope.freq_base") + struct.pack("<If", 6, 1e4),
             gguf_string("flag") + struct.pack("<IB", 7, 1),
             gguf_string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + gguf_string("a") + gguf_string("b"),
             gguf_string("tokenizer.ggml.scores") + struct.pack("<IIQ2f", 9, 6, 2, 0, -1)]
    tensors = [gguf_string("token_embd.weight") + struct.pack("<IQQIQ", 2, 8, 2, 0, 0),
               gguf_string("output.weight") + struct.pack("<IQQIQ", 2, 32, 1, 2, 64)]
    for version in (2, 3):
        head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs + tensors)
        yield head + bytes(-len(head) % 32) + bytes(64 + 32)


def safetensors_seeds():
    for kind, size in (("F32", 4), ("F16", 2), ("BF16", 2)):
        header = json.dumps({"__metadata__": {"format": "pt"},
                             "a": {"dtype": kind, "shape": [2, 3], "data_offsets": [0, 6 * size]},
                             "b": {"dtype": kind, "shape": [1], "data_offsets": [6 * size, 7 * size]}}).encode()
        yield struct.pack("<Q", len(header)) + header + bytes(7 * size)


def imatrix_seeds():
    """One entry in each of llama.cpp's two forms."""
    name = "blk.0.attn_q.weight"
    old = struct.pack("<ii", 1, len(name)) + name.encode() + struct.pack("<ii4f", 2, 4, 1, 0, 3, 2.5)
    yield old
    yield old + struct.pack("<ii", 2, 5) + b"notes"
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 1) + gguf_string("general.type") + struct.pack("<I", 8)
    head += gguf_string("imatrix") + gguf_string(name + ".in_sum2") + struct.pack("<IQQIQ", 2, 4, 1, 0, 0)
    head += gguf_string(name + ".counts") + struct.pack("<IQQIQ", 2, 1, 1, 0, 32)
    yield head + bytes(-len(head) % 32) + struct.pack("<4f16xf", 1, 0, 3, 2.5, 512)


def table_seeds():
    """Tables of each kind of column, and keys of metadata with other content."""
    rows = [f"{i},{i / 4},{'ab'[i % 2]},200{i % 9}-01-0{1 + i % 9},\"x, {i % 3}\",{'NA' if i % 5 == 0 else i * 10}" for i in range(60)]
    yield b"\1" + "\n".join(["i,d,c,t,q,m", *rows]).encode()
    yield b"\1" + b"\xef\xbb\xbfa;b\r\n1;2\r\n3\r\n"
    for key in range(40):
        yield bytes([0, key, key % 4]) + b"1.52.53.5"


def token_file_seeds():
    """Two and four bytes a token, with bits and without."""
    for width, vocabulary, code in ((2, 300, "H"), (4, 70000, "I")):
        tokens = struct.pack("<20" + code, *range(100, 120))
        for learned in (0, 1):
            bits = (-(128 + len(tokens)) % 8 * b"\0" + struct.pack("<Q", 0xFF0)) * learned
            head = struct.pack("<IIQQQQ", width, learned, vocabulary, 5, 20, 8 if learned else 20)
            yield b"ENXTOK01" + head + bytes(6 * 8 + 32) + tokens + bits


def json_lines_seeds():
    yield b"\n".join((b'{"text": "a\\u00e9 b"}', b'{"prompt": "q", "completion": "a"}',
                      b'{"instruction": "q", "input": "i", "output": "a"}', b"",
                      b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}'))
    yield b'{"text": "a"}\n{"text": "\\ud83d\\ude00"}\n{"text": ""}\nno json\n'


def json_schema_seeds():
    """Each keyword, and recursion; two bytes before them choose what is written."""
    for schema in ({"type": ["object", "null"], "required": ["a"], "additionalProperties": False, "properties": {
                       "a": {"type": "string", "minLength": 1, "maxLength": 3}, "b": {"enum": ["x", 1, None]}}},
                   {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "number", "minimum": -0.5, "maximum": 120}},
                   {"anyOf": [{"type": "integer", "exclusiveMinimum": 9}, {"type": "array", "items": {"$ref": "#"}}]},
                   {"$ref": "#/$defs/t", "$defs": {"t": {"type": "object", "properties": {
                       "l": {"$ref": "#/$defs/t"}, "v": {"const": {"k": [True]}}}}}}):
        yield b"\x07\x05" + json.dumps(schema).encode()


def midi_seeds():
    """Formats 0 to 2, running status, drums, a tempo, a meter; ticks of quarters and of seconds."""
    head = bytes([0, 0xFF, 0x51, 3, 7, 0xA1, 0x20, 0, 0xFF, 0x58, 4, 3, 2, 24, 8])
    voice = bytes([0, 0xC0, 52, 0, 0x90, 60, 80, 96, 60, 0, 0, 0x90, 64, 80, 0x81, 0x40, 0x80, 64, 0])
    drums = bytes([0, 0x99, 38, 90, 12, 0x89, 38, 0, 0, 0xF0, 2, 1, 0xF7])
    for layout, division in ((0, 96), (1, 480), (2, 0xE728)):
        tracks = [head + voice + drums] if layout == 0 else [head, voice, drums]
        chunks = (track + bytes([0, 0xFF, 0x2F, 0]) for track in tracks)
        yield b"MThd" + struct.pack(">IHHH", 6, layout, len(tracks), division) + b"".join(
            b"MTrk" + struct.pack(">I", len(chunk)) + chunk for chunk in chunks)


def captions_seeds():
    """Both forms of a list."""
    yield b'{"file": "a.png", "text": "red heart"}\n\n{"image": "b.png", "caption": "a cat"}\n'
    yield b'\xef\xbb\xbffile_name;caption\r\na.png;"red\r\nheart"\r\n\r\nb.png;"a ""cat"""'


def main():
    for target, seeds in (("codecs_fuzz", codecs_seeds()), ("gguf_fuzz", gguf_seeds()),
                          ("safetensors_fuzz", safetensors_seeds()), ("imatrix_fuzz", imatrix_seeds()),
                          ("token_file_fuzz", token_file_seeds()), ("json_lines_fuzz", json_lines_seeds()),
                          ("json_schema_fuzz", json_schema_seeds()), ("midi_fuzz", midi_seeds()), ("table_fuzz", table_seeds()),
                          ("captions_fuzz", captions_seeds())):
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / f"{number:03}").write_bytes(seed)


main()
