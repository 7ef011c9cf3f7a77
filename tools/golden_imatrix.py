"""Writes the golden importance matrices of src/formats/testdata: the GGUF form with the `gguf` package, the older .dat
byte by byte as llama.cpp's tools/imatrix laid it out before.

usage: golden_imatrix.py OUT_FOLDER      (needs: pip install gguf==0.19.0 numpy)
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

# Mean squares of the columns of each input, and the tokens they were taken over.
MEANS = {"blk.0.attn_q.weight": ([0.5, 2.0, 0.0, 8.25], 512), "blk.0.ffn_down.weight": ([1.0, 0.25], 1024)}
EXPERTS = "blk.1.ffn_down_exps.weight"


def write_gguf(path):
    writer = GGUFWriter(path, "")
    writer.kv_data[0].clear()  # the package names an architecture by itself; llama-imatrix does not
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["notes.txt"])
    writer.add_uint32("imatrix.chunk_count", 2)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, (means, count) in MEANS.items():
        writer.add_tensor(name + ".in_sum2", np.array([means], np.float32) * count)
        writer.add_tensor(name + ".counts", np.array([[count]], np.float32))
    writer.add_tensor(EXPERTS + ".in_sum2", np.ones((3, 4), np.float32))
    writer.add_tensor(EXPERTS + ".counts", np.ones((3, 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_dat(path, calls=2, dataset=b"notes.txt"):
    out = struct.pack("<i", len(MEANS))
    for name, (means, _) in MEANS.items():
        out += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", calls, len(means))
        out += struct.pack(f"<{len(means)}f", *(calls * m for m in means))
    if dataset:
        out += struct.pack("<ii", calls, len(dataset)) + dataset
    path.write_bytes(out)


def main():
    out = Path(sys.argv[1])
    write_gguf(out / "golden-imatrix.gguf")
    write_dat(out / "golden-imatrix.dat")
    write_dat(out / "golden-imatrix-bare.dat", dataset=b"")  # as the first ones were


main()
