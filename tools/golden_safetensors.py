"""Writes src/formats/testdata/golden.safetensors with the `safetensors` package.

usage: golden_safetensors.py OUT_FOLDER     (needs: pip install safetensors numpy)
"""
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

ramp = np.arange(12, dtype=np.float32).reshape(3, 4) / 4 - 1
save_file({"b.wide": ramp, "a.half": ramp.astype(np.float16), "scalar": np.array(2.5, dtype=np.float32),
           "ids": np.arange(3, dtype=np.int64)}, Path(sys.argv[1]) / "golden.safetensors", metadata={"format": "pt"})
