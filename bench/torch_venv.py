"""A Python with torch for the processor alone, in ~/.cache/enxuto/torch: 1.4 GB instead of the 5.4 GB with CUDA's libraries.

The torch that pip installs on x86 Linux loads those libraries wherever it runs, though without a GPU it never needs
them; loading them also adds 250 MB to its peak memory, which would flatter what is measured beside it. So a library
stands in their place that has all of their names, each a function that answers "no device": enough for what asks for
no GPU, as train_peer.py does not. Where torch does not load with it, the libraries are installed.
"""
import collections
import importlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

VENV = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "enxuto/torch"
PYTHON = VENV / "bin/python"
TORCH = "torch==2.15.0"
NEEDED = ["numpy==2.4.6", "gguf==0.19.0", "filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy",
          "typing-extensions"]
INSTALL = ["-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-cache-dir"]
ABSENT = r"lib(cu|nccl|nvrtc|nvshmem)"
ABSENT_NAMES = r"(__cuda|cuda|cublas|cudnn|cufft|cusparse|cusolver|nccl|nvrtc|nvshmem|cupti|cuFile|cu[A-Z])"
NO_DEVICE = 100  # CUDA's number


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def function(name):
    if name.endswith(("String", "Name")):
        return f'const char* {name}(void) {{ return "no device"; }}\n'
    return f"int {name}(void) {{ return {NO_DEVICE}; }}\n"


def stand_in(folder):
    """Puts a library of nothing in the place of those that torch's own libraries, in `folder`, ask for."""
    names, wanted = collections.defaultdict(set), set()  # names by version, which the loader insists on
    for library in folder.glob("*.so*"):
        wanted |= set(re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", library)))
        for line in output("nm", "-D", "--undefined-only", library).splitlines():
            name, _, version = line.split()[-1].partition("@")
            if re.match(ABSENT_NAMES, name):
                names[version].add(name)
    with tempfile.TemporaryDirectory() as scratch:
        code, versions = pathlib.Path(scratch) / "none.c", pathlib.Path(scratch) / "none.map"
        code.write_text("".join(map(function, sorted(set().union(*names.values())))))
        versions.write_text("".join(f"{version} {{ global: {' '.join(f'{name};' for name in sorted(some))} }};\n"
                                    for version, some in names.items() if version))
        output("g++", "-x", "c", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,--version-script={versions}", "-o",
               folder / "libenxuto_none.so", code)
    for library in wanted:
        if re.match(ABSENT, library) and not (folder / library).exists():
            (folder / library).symlink_to("libenxuto_none.so")


def works():
    check = "import torch; x = torch.ones(2, 2, requires_grad=True); (x @ x).sum().backward(); import gguf"
    return subprocess.run([PYTHON, "-c", check], check=False, capture_output=True).returncode == 0


def make():
    """The venv, where it is not there yet."""
    if PYTHON.exists() and works():
        return
    print(f"installing {TORCH} into {VENV} (500 MB to fetch)", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip = [PYTHON, *INSTALL]
    subprocess.run([*pip, *NEEDED], check=True)
    subprocess.run([*pip, "--no-deps", TORCH], check=True)
    try:
        stand_in(next(VENV.glob("lib/python*/site-packages/torch/lib")))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no library could be put in the place of CUDA's: {error}", file=sys.stderr)
    if not works():
        print("installing all that torch asks for (5 GB)", file=sys.stderr, flush=True)
        subprocess.run([*pip, "--force-reinstall", TORCH], check=True)


def need(modules, packages):
    """Installs the packages, without what those ask for, where one of the modules is not there yet."""
    try:
        for module in modules:
            importlib.import_module(module)
    except ImportError:
        subprocess.run([sys.executable, *INSTALL, "--no-deps", *packages], check=True)


def enter():
    """Runs the program that calls this again, by the venv's Python."""
    if pathlib.Path(sys.prefix) != VENV:
        make()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
