#!/usr/bin/env python3
"""Writes the codebooks of the IQ formats in our packed form, from the tables of the `gguf` package.

    make_grids.py > src/codecs/grid_points.h

One number is one point of a grid: coordinate i is the level with the index in bits w i … w i + w - 1, where w is 2 for
the eight coordinates of IQ1 and IQ2 and 3 for the four of IQ3. The levels themselves stand in src/codecs/grids.h.
"""
from gguf import quants

GRIDS = [("kGridIq2Xxs", quants.IQ2_XXS), ("kGridIq2Xs", quants.IQ2_XS), ("kGridIq2S", quants.IQ2_S),
         ("kGridIq3Xxs", quants.IQ3_XXS), ("kGridIq3S", quants.IQ3_S), ("kGridIq1", quants.IQ1_S)]


def packed_points(kind):
    kind.init_grid()
    points = kind.grid.reshape(kind.grid_shape)
    index = {level: i for i, level in enumerate(kind.grid_map)}
    width = 16 // points.shape[1] if points.shape[1] == 8 else 3
    return [sum(index[int(level)] << width * i for i, level in enumerate(point)) for point in points]


def check_signs():
    """The formats' 128 sign bytes are seven free bits and their even parity: computed, never stored."""
    for i, byte in enumerate(quants.IQ2_XXS.ksigns):
        assert byte == i | (bin(i).count("1") & 1) << 7, i


def main():
    check_signs()
    print("// Made by tools/make_grids.py from the tables of the gguf package; packed as grids.h says.")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace enxuto {")
    for name, kind in GRIDS:
        points = packed_points(kind)
        print(f"\ninline constexpr uint16_t {name}[{len(points)}] = {{")
        for at in range(0, len(points), 12):
            print("    " + " ".join(f"0x{point:04x}," for point in points[at:at + 12]))
        print("};")
    print("\n}  // namespace enxuto")


main()
