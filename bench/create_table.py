"""Simulated tables: is a classifier that learned from them as good, on real rows, as one that learned from real rows?

Tables are ISLP's Wage, Default and Credit (PyPI); a fifth of each is kept for the test, and nobody learns from it. For
each method (network, the same compressed, copula, independent; CTGAN and TVAE of PyPI's ctgan) as many rows are made as
were learned from.
Efficacy is the mean score of gradient boosting and of a linear model: area under the ROC curve, or R2. "reverse" is
learned from real rows and tested on simulated ones. Options and numbers of bins were chosen with --tune, which splits
the learned part again and leaves the test alone.
"""
import json
import math
import os
import statistics
import subprocess
import sys
import time
import zipfile

import speed
import torch_venv
from create_music import compressed

CACHE = torch_venv.VENV.parent / "tables"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on a busy machine scikit-learn's threads wait for each other
ISLP = "ISLP==0.6.0"
NEEDED = ["pandas==2.3.3", "scikit-learn==1.9.1", "scipy", "joblib", "threadpoolctl", "narwhals", "python-dateutil", "pytz",
          "tzdata", "six", "cloudpickle", "tqdm", "ctgan==0.12.1", "rdt", "Faker"]
# Columns that are left out (numbers of rows; the logarithm of the target), what is predicted, and how it is scored.
TABLES = {"Wage": (["logwage"], "wage", "above median"), "Default": ([], "default", "Yes"), "Credit": (["ID"], "Balance", "R2")}
SHAPE = ["--layers", "2", "--width", "64", "--heads", "2"]
OPTIONS = {"Wage": ["--layers", "1", *SHAPE[2:], "--batch-size", "64", "--steps", "3000", "--lr", "0.008"],
           "Default": [*SHAPE, "--batch-size", "64", "--steps", "2500", "--lr", "0.004"],
           "Credit": [*SHAPE, "--batch-size", "32", "--steps", "1600", "--lr", "0.004"]}
COMPRESSED = {"network-8.5": 8.5, "network-4.5": 4.5}  # bits of a weight
METHODS = ["network", *COMPRESSED, "copula", "independent", "TVAE", "CTGAN"]
MIB = 1 << 20


def add_options(parser):
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:-1])
    parser.add_argument("--tune", action="store_true", help="validate within what is learned from; the test is left alone")
    parser.add_argument("--train-options", nargs="*", help="of enxuto train, instead of those found best")
    parser.add_argument("--rival-epochs", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the simulated rows")


def fetch():
    """The tables, where they are not there yet, and the libraries."""
    torch_venv.need(["ctgan", "sklearn"], NEEDED)
    if all((CACHE / f"{name}.csv").exists() for name in TABLES):
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps", "-d", CACHE,
                    ISLP], check=True)
    with zipfile.ZipFile(next(CACHE.glob("*.whl"))) as wheel:
        for name in TABLES:
            (CACHE / f"{name}.csv").write_bytes(wheel.read(f"ISLP/data/{name}.csv"))


def splits(name, tune):
    """Rows to learn from, and to test on."""
    import pandas
    from sklearn.model_selection import train_test_split
    table = pandas.read_csv(CACHE / f"{name}.csv", keep_default_na=False).drop(columns=TABLES[name][0])
    learned, test = train_test_split(table, test_size=0.2, random_state=1)
    return train_test_split(learned, test_size=0.25, random_state=2) if tune else (learned, test)


class Judge:
    """Scores of models that learn from one table and are tested on another."""

    def __init__(self, name, real):
        self.target, self.kind = TABLES[name][1:]
        self.features = [column for column in real.columns if column != self.target]
        self.numbers = [c for c in self.features if real[c].dtype.kind in "if"]
        self.median = real[self.target].median() if self.kind == "above median" else None

    def label(self, table):
        values = table[self.target]
        if self.kind == "R2":
            return values.astype(float)
        return values.astype(float) > self.median if self.kind == "above median" else values == self.kind

    def models(self):
        from sklearn.compose import make_column_transformer
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler
        classes = [c for c in self.features if c not in self.numbers]
        is_number = self.kind == "R2"
        for boosting in (True, False):
            encode = make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore", sparse_output=False), classes), (StandardScaler(), self.numbers))
            model = ((HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier)(
                max_iter=100, learning_rate=0.05, max_leaf_nodes=8, random_state=0) if boosting else
                Ridge() if is_number else LogisticRegression(max_iter=2000))
            yield make_pipeline(encode, model)

    def score(self, learned, tested):
        from sklearn.metrics import r2_score, roc_auc_score
        labels = self.label(learned)
        if labels.nunique() < 2:
            return 0.0 if self.kind == "R2" else 0.5
        scores = []
        for model in self.models():
            model.fit(learned[self.features], labels)
            found = model.predict(tested[self.features]) if self.kind == "R2" else model.predict_proba(
                tested[self.features])[:, 1]
            scores.append((r2_score if self.kind == "R2" else roc_auc_score)(self.label(tested), found))
        return statistics.mean(scores)


def run_enxuto(*command):
    """What it prints as JSON. Its peak RSS is in there: what wait4 says of it is this process's own, before exec."""
    return json.loads(speed.run([speed.PROGRAM, *command, "--json"])[0])


def ours(paths, method, seed):
    """A simulated table, and our report of it."""
    import pandas
    out, model = paths["scratch"] / "made.csv", paths["model"]
    if method in COMPRESSED:
        model, method = compressed(model, COMPRESSED[method], "--calibration", paths["learned"]), "network"
    report = run_enxuto("create", "table", model, "-o", out, "--force", "--rows", paths["rows"], "--method", method,
                        "--seed", seed, "--compare", paths["learned"], "--holdout", paths["test"])
    return pandas.read_csv(out, keep_default_na=False), report


def train_ours(args, name, paths):
    begun = time.monotonic()
    report = run_enxuto("train", "--media", "table", "--data", paths["learned"], "-o", paths["model"], "--force", "-t",
                        args.threads, *(args.train_options or OPTIONS[name]))
    return report["peak_rss_bytes"], time.monotonic() - begun


def train_rival(args, name, paths, method):
    """Tables for each seed, and what they took. Made once, in a process of its own: this file as a program."""
    kept = CACHE / f"{method}-{name}-{args.rival_epochs}{'-tune' if args.tune else ''}"
    if not kept.with_suffix(".json").exists():
        begun = time.monotonic()
        peak, _ = speed.run([sys.executable, __file__, method, paths["learned"], kept, args.rival_epochs, args.threads,
                             *args.seeds])
        kept.with_suffix(".json").write_text(json.dumps([int(peak), time.monotonic() - begun]))
    peak, seconds = json.loads(kept.with_suffix(".json").read_text())
    return [f"{kept}-{seed}.csv" for seed in args.seeds], peak, seconds


def rival():
    import ctgan
    import pandas
    import torch
    method, learned, out, epochs, threads, *seeds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    table = pandas.read_csv(learned, keep_default_na=False)
    classes = [c for c in table.columns if table[c].dtype.kind not in "if"]
    model = getattr(ctgan, method)(epochs=int(epochs), cuda=False)
    model.fit(table, classes)
    peak = next(line for line in open("/proc/self/status", encoding="ascii") if line.startswith("VmHWM"))
    for seed in seeds:
        torch.manual_seed(int(seed))
        model.sample(len(table)).to_csv(f"{out}-{seed}.csv", index=False)
    print(int(peak.split()[1]) * 1024)


def measure_table(args, name, scratch):
    import pandas
    learned, test = splits(name, args.tune)
    paths = {"scratch": scratch, "learned": scratch / "learned.csv", "test": scratch / "test.csv", "rows": len(learned),
             "model": scratch / f"{name}.gguf"}
    learned.to_csv(paths["learned"], index=False)
    test.to_csv(paths["test"], index=False)
    judge = Judge(name, learned)
    real = judge.score(learned, test)
    print(f"\n{name}, {judge.kind} of {judge.target}: {real:.4f} by {len(learned)} real rows, {len(test)} to test on")
    print(f"{'':14}{'efficacy':>10}{'of real':>9}{'reverse':>9}{'columns':>9}{'pairs':>8}{'copied':>8}{'nearest':>9}"
          f"{'held':>8}{'MiB':>8}{'s':>7}", flush=True)
    trained = train_ours(args, name, paths)
    found = {}  # by method: its score, and the peak memory and seconds of training
    for method in args.methods:
        rows, reports = [], []
        if method in ("CTGAN", "TVAE"):
            files, *cost = train_rival(args, name, paths, method)
            rows = [pandas.read_csv(file, keep_default_na=False) for file in files]
        else:
            cost = trained
            for seed in args.seeds:
                table, report = ours(paths, method, seed)
                rows.append(table), reports.append(report["comparison"])
        scores = [judge.score(table, test) for table in rows]
        reverse = statistics.mean(judge.score(learned, table) for table in rows)
        peak, seconds = cost
        found[method] = statistics.mean(scores), peak, seconds
        line = f"{method:14}{found[method][0]:>10.4f}{found[method][0] / real:>9.3f}{reverse:>9.4f}"
        if reports:
            c = reports[0]
            line += (f"{c['mean_distance']:>9.3f}{c['mean_pair_difference']:>8.3f}{c['nearest']['copied_share']:>8.3f}"
                     f"{c['nearest']['median_distance']:>9.4f}{c['nearest_of_held']['median_distance']:>8.4f}")
        else:
            line += " " * 42
        print(line + f"{peak / MIB:>8.0f}{seconds:>7.0f}   {' '.join(f'{s:.3f}' for s in scores)}", flush=True)
    for method, (score, *_) in found.items():
        yield f"table {name}: {judge.kind} of {judge.target} learned from {method} : from real rows", "score", score, real
    for method in set(found) & set(COMPRESSED):
        judged = run_enxuto("eval", compressed(paths["model"], COMPRESSED[method]), paths["test"], "--reference", paths["model"])
        yield (f"table {name}: a token of rows held out by {method} : network", "nats", math.log(judged["perplexity"]),
               math.log(judged["reference_perplexity"]))
    for rival_method in set(found) & {"CTGAN", "TVAE"} if "network" in found else ():
        yield f"table {name}: efficacy of network : {rival_method}", "score", found["network"][0], found[rival_method][0]
        yield f"table {name}: peak RSS of training : {rival_method}", "bytes", found["network"][1], found[rival_method][1]
        yield f"table {name}: seconds of training : {rival_method}", "s", found["network"][2], found[rival_method][2]


def measure(args, scratch):
    fetch()
    for name in args.tables:
        yield from measure_table(args, name, scratch)


if __name__ == "__main__":
    rival()
