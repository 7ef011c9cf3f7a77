#!/usr/bin/env python3
"""Packaged pictures as `enxuto train --media image` reads them: PNG files, and captions.jsonl.

    fetch_pictures.py emoji FOLDER     1,900 Noto emoji of 64 x 64 (npm emoji-datasource-google, Apache-2.0), with the names
                                       that Unicode gives them (npm unicode-emoji-json)
    fetch_pictures.py fashion FOLDER   60,000 clothes of 28 x 28, grey (Debian package dataset-fashion-mnist, MIT); and
                                       FOLDER-test, 10,000 more

Needs npm for the first, the Debian package for the second.
"""
import gzip
import json
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib

EMOJI, NAMES = "emoji-datasource-google@16.0.0", "unicode-emoji-json@0.9.0"
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
CLOTHES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def png(width, height, grey):
    """The bytes of a grey picture as a PNG file."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + grey[y * width:(y + 1) * width] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write(folder, pictures):
    """pictures: (file name, PNG bytes, captions)."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "captions.jsonl", "w", encoding="utf-8") as captions:
        for n, (name, data, texts) in enumerate(pictures, 1):
            (folder / name).write_bytes(data)
            for text in texts:
                captions.write(json.dumps({"file": name, "text": text}, ensure_ascii=False) + "\n")
    print(f"{folder}: {n} pictures")


def npm_package(name, folder):
    file = subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, capture_output=True,
                          text=True).stdout.split()[-1]
    return tarfile.open(pathlib.Path(folder) / file)


def emoji_pictures():
    with tempfile.TemporaryDirectory() as folder:
        with npm_package(NAMES, folder) as package:
            names = json.load(package.extractfile("package/data-by-emoji.json"))
        with npm_package(EMOJI, folder) as package:
            for entry in json.load(package.extractfile("package/emoji.json")):
                character = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
                name = names.get(character, {}).get("name")
                if not name or not entry["has_img_google"]:
                    continue
                short = entry["short_name"].replace("_", " ").replace("-", " ")
                picture = package.extractfile(f"package/img/google/64/{entry['image']}").read()
                yield entry["image"], picture, [name] if short == name else [name, short]


def fashion_bytes(part):
    """Pixels and labels of a part, "train" or "t10k": a byte each."""
    def numbers(kind, header):
        with gzip.open(FASHION / f"{part}-{kind}-ubyte.gz") as file:
            return file.read()[header:]
    return numbers("images-idx3", 16), numbers("labels-idx1", 8)


def fashion_pictures(part):
    pixels, labels = fashion_bytes(part)
    for i, label in enumerate(labels):
        yield f"{i:05}.png", png(28, 28, pixels[i * 784:(i + 1) * 784]), [CLOTHES[label]]


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("emoji", "fashion"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "emoji":
        write(folder, emoji_pictures())
    elif not FASHION.is_dir():
        sys.exit("The pictures are missing. As root: apt-get install dataset-fashion-mnist")
    else:
        write(folder, fashion_pictures("train"))
        write(folder.with_name(folder.name + "-test"), fashion_pictures("t10k"))


if __name__ == "__main__":
    main()
