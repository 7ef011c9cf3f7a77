"""Pictures from descriptions: does a classifier that learned from real pictures see in ours what was asked for?

Fashion-MNIST (Debian's dataset-fashion-mnist). The classifier is scikit-learn's MLP, trained on the 60,000 real pictures
scaled to [0, 1]; the peer of its score on ours is its score on the 10,000 real pictures of the test. The codec's error is
measured on pictures that its codebooks were not made from.
"""
import json
import subprocess
import sys

import speed
import torch_venv

CACHE = torch_venv.VENV.parent / "create"
NEEDED = ["scikit-learn==1.9.1", "scipy", "joblib", "threadpoolctl", "narwhals", "cloudpickle", "pillow"]
SIDE, GAP = 28, 2


def add_options(parser):
    parser.add_argument("--image-model", help="a trained one, instead of the one that is trained first and kept (a quarter of an hour)")
    parser.add_argument("--pictures", type=int, default=100, help="of each kind")


def fetch():
    torch_venv.need(["sklearn", "PIL"], NEEDED)
    folder = CACHE / "fashion"
    if not (CACHE / "fashion-test/captions.jsonl").exists():
        subprocess.run([sys.executable, speed.ROOT / "tools/fetch_pictures.py", "fashion", folder], check=True)
    return folder


def trained(data):
    model = CACHE / "fashion.gguf"
    if not model.exists():
        subprocess.run([speed.PROGRAM, "train", "--media", "image", "--data", data, "--params", "1M", "--epochs", "2",
                        "--compute", "bf16", "--batch-size", "32", "-o", model], check=True)
    return model


def real(part):
    import numpy
    from fetch_pictures import fashion_bytes
    pixels, labels = (numpy.frombuffer(found, numpy.uint8) for found in fashion_bytes(part))
    return pixels.reshape(-1, SIDE * SIDE) / 255.0, labels


def made(model, kind, n, scratch):
    """n pictures of a kind, off the sheet that the program makes."""
    import numpy
    from PIL import Image
    sheet = scratch / "sheet.png"
    subprocess.run([speed.PROGRAM, "create", "image", model, kind, "-o", sheet, "--n", str(n), "--seed", "1", "--force",
                    "--json"], check=True, capture_output=True)
    pixels = numpy.asarray(Image.open(sheet).convert("L")) / 255.0
    columns = (pixels.shape[1] + GAP) // (SIDE + GAP)
    corners = [(i // columns * (SIDE + GAP), i % columns * (SIDE + GAP)) for i in range(n)]
    return numpy.stack([pixels[y:y + SIDE, x:x + SIDE].ravel() for y, x in corners])


def measure(args, scratch):
    sys.path.insert(0, str(speed.ROOT / "tools"))
    data = fetch()
    from fetch_pictures import CLOTHES
    from sklearn.neural_network import MLPClassifier
    model = args.image_model or trained(data)
    medium = json.loads(subprocess.run([speed.PROGRAM, "inspect", model, "--json"], check=True, capture_output=True,
                                       text=True).stdout)["medium"]
    yield "create image: codec, a grey picture of 28 x 28", "bytes", medium["bytes_per_picture"], SIDE * SIDE
    yield "create image: codec's PSNR on pictures it was not made from", "dB", medium["psnr"], None
    judge = MLPClassifier((256,), early_stopping=True, random_state=0).fit(*real("train"))
    on_real = judge.score(*real("t10k"))
    right = [(judge.predict(made(model, kind, args.pictures, scratch)) == label).mean()
             for label, kind in enumerate(CLOTHES)]
    for kind, share in zip(CLOTHES, right):
        print(f"    {kind:12}{share:6.1%}")
    yield "create image: recognized as what was asked for (peer: real pictures)", "score", sum(right) / len(right), on_real
