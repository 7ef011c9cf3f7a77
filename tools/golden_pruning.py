#!/usr/bin/env python3
"""Golden perplexities of one-shot unstructured pruning, in PyTorch.

An oracle for another implementation: reads a GGUF model of the llama architecture
(f32/f16 weights, byte-level BPE with the 'smollm' pre-tokenizer), prunes the seven
matrices of each layer to 50 % zeros, and prints the perplexity of the dense and of
each pruned model. Arithmetic is f32, except sums of X^T X and SparseGPT (f64).

usage:
  pip install torch numpy gguf tokenizers
  golden_pruning.py MODEL.gguf CALIBRATION.txt EVAL.txt [--chunks 24]
      [--eval-chunks 24] [--ctx 512] [--methods dense,wanda,...] [--threads 2]

Calibration: the text's tokens without BOS, cut into consecutive chunks. Layers are
pruned in order: one pass through the still dense layer gathers X^T X of the inputs
of its matrices, all seven are pruned, and the pruned layer feeds the next one.
Scores of the weight W[i, j], with X_j its input over all calibration tokens:
  random, magnitude   uniform (--seed), |W|; lowest half of each row goes
  wanda, wanda-2:4    |W| * ||X_j||; lowest half of each row, or 2 of each 4 inputs
  sparsegpt, -2:4     W^2 / U_jj^2, U the upper Cholesky factor of the inverse of
                      (X^T X + 1 % of its mean diagonal); lowest half of a block of
                      128 columns x all rows, or 2 of each 4 inputs of a row
Evaluation is llama-perplexity's: chunks of --ctx tokens, the second half scored.
"""
import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from gguf import GGUFReader
from tokenizers import Tokenizer, models, pre_tokenizers

METHODS = ["dense", "random", "magnitude", "wanda", "wanda-2:4", "sparsegpt", "sparsegpt-2:4"]
# Each matrix of a layer, with the name under which its input is gathered.
INPUT_OF = {"attn_q": "attn_in", "attn_k": "attn_in", "attn_v": "attn_in", "attn_output": "o_in",
            "ffn_gate": "ffn_in", "ffn_up": "ffn_in", "ffn_down": "down_in"}


class Model:
    """A llama-architecture model in f32; weights[name] is [outputs, inputs]."""

    def __init__(self, path):
        reader = GGUFReader(path)
        meta = {key: field.contents() for key, field in reader.fields.items()}
        self.layers, self.heads, self.kv_heads, self.eps, self.rope_base = (meta["llama." + key] for key in (
            "block_count", "attention.head_count", "attention.head_count_kv",
            "attention.layer_norm_rms_epsilon", "rope.freq_base"))
        self.meta = meta
        self.weights = {t.name.removesuffix(".weight"):
                        torch.from_numpy(np.array(t.data, dtype=np.float32)) for t in reader.tensors}

    def tokenize(self, text):
        """Token ids of the text, without BOS."""
        vocab = {token: i for i, token in enumerate(self.meta["tokenizer.ggml.tokens"])}
        merges = [tuple(merge.split(" ")) for merge in self.meta["tokenizer.ggml.merges"]]
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        return torch.tensor(tokenizer.encode(text).ids)

    def norm(self, name, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weights[name]

    def rope(self, x):
        """Rotate the pairs (2i, 2i+1) of x [batch, head, position, width]."""
        length, width = x.shape[-2:]
        freq = self.rope_base ** (-torch.arange(0, width, 2).double() / width)
        angle = torch.outer(torch.arange(length).double(), freq)
        cos, sin, even, odd = angle.cos().float(), angle.sin().float(), x[..., 0::2], x[..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)

    def block(self, layer, x, see=lambda name, inputs: None):
        """The output of a layer; see(name, inputs) is told the inputs of its matrices."""
        w = {name: self.weights[f"blk.{layer}.{name}"] for name in INPUT_OF}
        h = self.norm(f"blk.{layer}.attn_norm", x)
        see("attn_in", h)
        q, k, v = (F.linear(h, w[name]).unflatten(-1, (heads, -1)).transpose(1, 2) for name, heads in
                   (("attn_q", self.heads), ("attn_k", self.kv_heads), ("attn_v", self.kv_heads)))
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (self.rope(k), v))
        mixed = F.scaled_dot_product_attention(self.rope(q), k, v, is_causal=True).transpose(1, 2).flatten(-2)
        see("o_in", mixed)
        x = x + F.linear(mixed, w["attn_output"])
        h = self.norm(f"blk.{layer}.ffn_norm", x)
        see("ffn_in", h)
        a = F.silu(F.linear(h, w["ffn_gate"])) * F.linear(h, w["ffn_up"])
        see("down_in", a)
        return x + F.linear(a, w["ffn_down"])

    def logits(self, x):
        head = self.weights.get("output", self.weights["token_embd"])
        return F.linear(self.norm("output_norm", x), head)


def perplexity(model, chunks):
    """llama-perplexity's rule: score the tokens after the middle one of each chunk."""
    first = chunks.shape[1] // 2
    if model.meta.get("tokenizer.ggml.add_bos_token", False):
        chunks = chunks.clone()
        chunks[:, 0] = model.meta["tokenizer.ggml.bos_token_id"]
    total = 0.0
    for chunk in chunks.split(1):
        x = model.weights["token_embd"][chunk]
        for layer in range(model.layers):
            x = model.block(layer, x)
        logits = model.logits(x[0, first:-1])
        total += F.cross_entropy(logits, chunk[0, first + 1:], reduction="sum").item()
    return float(np.exp(total / (len(chunks) * (chunks.shape[1] - first - 1))))


def lowest(score, groups_of):
    """Mask of the lowest half of the scores in each group of consecutive columns of a row."""
    grouped = score.unflatten(1, (-1, groups_of))
    index = grouped.argsort(dim=-1, stable=True)[..., :groups_of // 2]
    return torch.zeros_like(grouped, dtype=torch.bool).scatter_(-1, index, True).flatten(1)


def sparsegpt(w, gram, two_four, block=128, damping=0.01):
    """Prune w with error feedback; gram is X^T X of its inputs."""
    w, gram = w.double(), gram + damping * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(gram)), upper=True)
    for begin in range(0, w.shape[1], block):
        end = min(begin + block, w.shape[1])
        score = (w[:, begin:end] / u.diagonal()[begin:end]) ** 2
        mask = score <= score.flatten().kthvalue(score.numel() // 2).values
        errors = torch.zeros_like(score)
        for c in range(begin, end):
            if two_four and c % 4 == 0:  # from the weights as updated so far
                mask[:, c - begin:c - begin + 4] = lowest((w[:, c:c + 4] / u.diagonal()[c:c + 4]) ** 2, 4)
            error = torch.where(mask[:, c - begin], w[:, c], 0) / u[c, c]
            w[:, c:end] -= torch.outer(error, u[c, c:end])
            errors[:, c - begin] = error
        w[:, begin:end][mask] = 0
        w[:, end:] -= errors @ u[begin:end, end:]
    return w.float()


def prune_matrix(w, gram, method, generator):
    """The pruned w; gram is X^T X of its inputs."""
    if method.startswith("sparsegpt"):
        return sparsegpt(w, gram, method.endswith("2:4"))
    score = w.abs()
    if method == "random":
        score = torch.rand(w.shape, generator=generator)
    elif method.startswith("wanda"):
        score = score * gram.diagonal().sqrt().float()
    return w.masked_fill(lowest(score, 4 if method.endswith("2:4") else w.shape[1]), 0)


def prune(model, chunks, method, seed):
    """Prune the model in place, layer by layer."""
    generator = torch.Generator().manual_seed(seed)
    stream = [model.weights["token_embd"][chunk] for chunk in chunks.split(1)]
    for layer in range(model.layers):
        grams = {}

        def gather(name, x):
            x = x.flatten(0, -2)
            grams[name] = grams.get(name, 0) + (x.T @ x).double()

        for x in stream:
            model.block(layer, x, gather)
        for name, source in INPUT_OF.items():
            key = f"blk.{layer}.{name}"
            model.weights[key] = prune_matrix(model.weights[key], grams[source], method, generator)
        stream = [model.block(layer, x) for x in stream]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "eval"):
        parser.add_argument(name)
    for name, default in (("chunks", 24), ("eval-chunks", 24), ("ctx", 512), ("seed", 1), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--methods", default=",".join(METHODS))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    model = Model(args.model)
    dense = dict(model.weights)
    calibration, evaluation = (
        model.tokenize(open(path, encoding="utf-8", newline="").read())[:count * args.ctx].view(count, args.ctx)
        for path, count in ((args.calibration, args.chunks), (args.eval, args.eval_chunks)))
    base = None  # of the first method named, so "ratio" is to the dense model unless it is left out
    print(f"{'method':<14} {'zeros':>7} {'perplexity':>11} {'ratio':>7} {'seconds':>8}")
    for method in args.methods.split(","):
        begun = time.time()
        model.weights = dict(dense)
        if method != "dense":
            prune(model, calibration, method, args.seed)
        zeros = torch.cat([w.flatten() == 0 for n, w in model.weights.items() if n.split(".")[-1] in INPUT_OF])
        ppl = perplexity(model, evaluation)
        base = base or ppl
        print(f"{method:<14} {zeros.double().mean():7.4f} {ppl:11.4f} {ppl / base:7.3f} {time.time() - begun:8.0f}",
              flush=True)


if __name__ == "__main__":
    main()
