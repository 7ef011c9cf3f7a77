"""Writes the golden GGUF files of src/formats/testdata with the `gguf` package, an implementation that is not ours.

usage: golden_gguf.py OUT_FOLDER      (needs: pip install gguf==0.19.0 numpy)
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize


def tensors():
    ramp = np.arange(96, dtype=np.float32).reshape(3, 32) / 7 - 5
    yield "first.weight", ramp, GGMLQuantizationType.F32
    yield "second.weight", ramp.astype(np.float16), GGMLQuantizationType.F16
    yield "third.weight", quantize(ramp, GGMLQuantizationType.Q8_0), GGMLQuantizationType.Q8_0
    yield "odd.bias", ramp[0, :5].copy(), GGMLQuantizationType.F32


def write(path, alignment=None, **split):
    writer = GGUFWriter(path, "llama", **split)
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_name("golden é")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_float32("t.f32", 1.5)
    writer.add_bool("t.bool", True)
    writer.add_uint64("t.u64", 1 << 63)
    writer.add_int64("t.i64", -(1 << 62))
    writer.add_float64("t.f64", 0.1)
    writer.add_array("t.words", ["one", "", "três"])
    writer.add_array("t.numbers", [1, 2, 3])
    writer.add_array("t.scores", [0.5, -1.5])
    writer.add_array("t.flags", [True, False, True])
    for name, data, kind in tensors():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    out = Path(sys.argv[1])
    write(out / "golden.gguf")
    write(out / "golden-aligned-64.gguf", alignment=64)
    write(out / "golden-split.gguf", split_max_tensors=2)
    # Version 2 differs from 3 by its number alone (3 added big-endian files).
    data = bytearray((out / "golden.gguf").read_bytes())
    data[4:8] = struct.pack("<I", 2)
    (out / "golden-v2.gguf").write_bytes(data)


main()
