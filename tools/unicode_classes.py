#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_ranges.inc: the class of every code point, by Unicode 15.1.

That is the version whose classes stock llama.cpp uses. Needs: pip install unicodedata2==15.1.0
"""
import pathlib

import unicodedata2

assert unicodedata2.unidata_version == "15.1.0"
WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
               0x2028, 0x2029, 0x202F, 0x205F, 0x3000}  # fmt: skip
CLASSES = {"N": 1, "L": 2, "P": 3, "M": 4, "S": 5}  # 0: all others; 6: white space


def class_of(code_point):
    if code_point in WHITE_SPACE:
        return 6
    return CLASSES.get(unicodedata2.category(chr(code_point))[0], 0)


def main():
    entries, last = [], None
    for code_point in range(0x110000):
        if (c := class_of(code_point)) != last:
            entries.append(f"0x{code_point << 3 | c:x}")
            last = c
    lines = ["// Made by tools/unicode_classes.py from Unicode 15.1: first code point << 3 | class."]
    line = ""
    for entry in entries:
        if len(line) + len(entry) + 2 > 100:
            lines.append(line.rstrip())
            line = ""
        line += entry + ", "
    lines.append(line.rstrip())
    root = pathlib.Path(__file__).resolve().parent.parent
    (root / "src/tokenizer/unicode_ranges.inc").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
