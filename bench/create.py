"""What models of a medium make, measured: `./dev bench create --only image`.

One function per use, in a file of its own; it yields rows for bench/results.csv (command, unit, ours, peer). What the
measure needs of Python is installed into the venv of torch_venv.py.
"""
import argparse
import pathlib
import tempfile

import torch_venv

if __name__ == "__main__":
    torch_venv.enter()

import create_image
import create_music
import create_table
import speed

USES = {"image": create_image, "music": create_music, "table": create_table}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=USES, default=list(USES))
    parser.add_argument("--threads", type=int, default=1, help="small models are fastest with one")
    parser.add_argument("--record", action="store_true", help="append to bench/results.csv")
    for use in USES.values():
        use.add_options(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.only:
            speed.report(list(USES[name].measure(args, pathlib.Path(scratch))), args.record)


if __name__ == "__main__":
    main()
