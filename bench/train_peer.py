"""A PyTorch trainer of llama-shaped decoders: what `enxuto train` is measured beside (bench/train.py runs it).

It begins with the weights of a GGUF file (F32, F16 or BF16), reads token ids from a raw little-endian file in the file's
order (sequence i is tokens[i T : (i + 1) T + 1]), and prints one JSON object a step and a last one. It is plain and well
made: scaled_dot_product_attention, fused optimizers, weight decay of matrices only. The modes:
  f32    weights, states and arithmetic
  amp    f32 weights and states, products by autocast in bf16
  bf16   tuned by hand for memory: weights and states in bf16, --chunked-loss, and each parameter's step inside the way
         back, as soon as its gradient is there, so that gradients are never all alive
--chunked-loss (no logits are whole) goes with f32 too, and --checkpointing (of layers, only inputs are kept) with all.
Needs torch (2.15 was used), gguf and numpy.
"""
import argparse
import concurrent.futures
import json
import multiprocessing
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

STORED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def read_header(path):
    """The keys of the architecture, and (name, type, shape, offset) of each tensor."""
    import gguf

    reader = gguf.GGUFReader(path)
    keys = {key.removeprefix("llama."): field.contents() for key, field in reader.fields.items()
            if key.startswith("llama.")}
    return keys, [(t.name, t.tensor_type.name, [int(n) for n in reversed(t.shape)], int(t.data_offset))
                  for t in reader.tensors]


def read_header_elsewhere(path):
    """In a process of its own, so that the objects of a large vocabulary are not in this one's peak."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        return other.submit(read_header, path).result()


def read_tensor(path, kind, shape, offset):
    """Read, not mapped: pages of the file are not in the peak either."""
    values = torch.from_numpy(np.fromfile(path, STORED[kind], int(np.prod(shape)), offset=offset)).view(shape)
    return values.view(torch.bfloat16) if kind == "BF16" else values


def rotate(x, cos, sin):
    """Pairs lie half a head apart: rows of q and k are put in that order when they are read."""
    a, b = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Layer(nn.Module):
    """Its modules are called as the tensors of a GGUF file."""

    def __init__(self, keys):
        super().__init__()
        width, ffn, eps = (keys[key] for key in ("embedding_length", "feed_forward_length",
                                                 "attention.layer_norm_rms_epsilon"))
        self.dim = keys.get("attention.key_length", width // keys["attention.head_count"])
        q, kv = keys["attention.head_count"] * self.dim, keys["attention.head_count_kv"] * self.dim
        self.grouped = q != kv
        self.attn_norm, self.ffn_norm = nn.RMSNorm(width, eps), nn.RMSNorm(width, eps)
        self.attn_q, self.attn_k, self.attn_v = (nn.Linear(width, n, bias=False) for n in (q, kv, kv))
        self.attn_output = nn.Linear(q, width, bias=False)
        self.ffn_gate, self.ffn_up = nn.Linear(width, ffn, bias=False), nn.Linear(width, ffn, bias=False)
        self.ffn_down = nn.Linear(ffn, width, bias=False)

    def attention(self, h, cos, sin):
        q, k, v = (w(h).unflatten(-1, (-1, self.dim)).transpose(1, 2) for w in (self.attn_q, self.attn_k, self.attn_v))
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True,
                                               enable_gqa=self.grouped)
        return self.attn_output(mixed.transpose(1, 2).flatten(-2))

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attn_norm(x), cos, sin)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class ChunkedLoss(torch.autograd.Function):
    """Mean cross entropy of x w^T over blocks of rows, with the gradients at once. F.linear_cross_entropy does so too, but
    in bf16 its loss has two digits, and on a processor it keeps the head's gradient in f32 besides."""

    @staticmethod
    def forward(context, x, w, targets, rows=256):
        dx, dw, total = torch.empty_like(x), torch.zeros_like(w), 0.0
        for part, some, wanted in zip(dx.split(rows), x.split(rows), targets.split(rows)):
            logits = (some @ w.T).float()
            normalizer = logits.logsumexp(-1, keepdim=True)
            wanted = wanted[:, None]
            total += (normalizer - logits.gather(1, wanted)).sum().item()
            logits.sub_(normalizer).exp_().scatter_add_(1, wanted, torch.full_like(normalizer, -1)).div_(len(x))
            logits = logits.to(x.dtype)
            torch.mm(logits, w, out=part)
            dw.addmm_(logits.T, some)
        context.save_for_backward(dx, dw)
        return torch.tensor(total / len(x))

    @staticmethod
    def backward(context, by_loss):
        dx, dw = context.saved_tensors
        return dx.mul_(by_loss), dw.mul_(by_loss), None, None


class Decoder(nn.Module):
    def __init__(self, keys, vocabulary, checkpointing, chunked_loss):
        super().__init__()
        width = keys["embedding_length"]
        self.checkpointing, self.chunked_loss = checkpointing, chunked_loss
        self.token_embd = nn.Embedding(vocabulary, width)
        self.blk = nn.ModuleList(Layer(keys) for _ in range(keys["block_count"]))
        self.output_norm = nn.RMSNorm(width, keys["attention.layer_norm_rms_epsilon"])
        self.output = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens, targets, cos, sin):
        x = self.token_embd(tokens)
        for layer in self.blk:
            x = checkpoint(layer, x, cos, sin, use_reentrant=False) if self.checkpointing else layer(x, cos, sin)
        x, targets = self.output_norm(x).flatten(0, 1), targets.flatten()
        if self.chunked_loss:
            return ChunkedLoss.apply(x, self.output.weight, targets)
        return F.cross_entropy(self.output(x), targets)


def load(args):
    """The model, and the cosines and sines of its positions."""
    keys, tensors = read_header_elsewhere(args.model)
    keys.setdefault("attention.head_count_kv", keys["attention.head_count"])
    dtype = torch.bfloat16 if args.mode == "bf16" else torch.float32
    vocabulary = next(shape[0] for name, _, shape, _ in tensors if name == "token_embd.weight")
    with torch.device("meta"):
        model = Decoder(keys, vocabulary, args.checkpointing, args.chunked_loss or args.mode == "bf16")
    dim = model.blk[0].dim
    for name, kind, shape, offset in tensors:
        values = read_tensor(args.model, kind, shape, offset).to(dtype)
        if name.endswith(("attn_q.weight", "attn_k.weight")):  # pairs lie side by side in the file
            values = values.unflatten(0, (-1, dim // 2, 2)).transpose(1, 2).flatten(0, 2)
        model.get_submodule(name.removesuffix(".weight")).weight = nn.Parameter(values)
    if model.output.weight.is_meta:
        model.output.weight = model.token_embd.weight
    steps = keys.get("rope.freq_base", 10000.0) ** (-torch.arange(0, dim, 2).double() / dim)
    angles = torch.outer(torch.arange(args.context).double(), steps)
    return model, angles.cos().to(dtype), angles.sin().to(dtype)


def make_optimizer(parameters, args):
    groups = [{"params": [p for p in parameters if p.ndim == 2], "weight_decay": args.weight_decay},
              {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if args.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=args.lr, momentum=0.9, fused=True)
    return torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95), eps=1e-8, fused=True)


def step_in_the_way_back(model, args):
    """Each parameter steps when its gradient is whole, and the gradient goes."""
    for parameter in model.parameters():
        optimizer = make_optimizer([parameter], args)

        def step(_, optimizer=optimizer):
            optimizer.step()
            optimizer.zero_grad()

        parameter.register_post_accumulate_grad_hook(step)


def batches(args):
    """Token ids and what follows each, (batch, context); from the first sequence on, and round again."""
    ids = np.memmap(args.tokens, {2: "<u2", 4: "<u4"}[args.width_of_token], "r")
    sequences = (len(ids) - 1) // args.context
    for step in range(args.steps):
        starts = [(step * args.batch + i) % sequences * args.context for i in range(args.batch)]
        both = torch.from_numpy(np.stack([ids[s:s + args.context + 1] for s in starts]).astype(np.int64))
        yield both[:, :-1], both[:, 1:]


def peak_rss():
    """Of this program alone: ru_maxrss begins with what the one that started it had."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def train(args):
    imported = peak_rss()
    model, cos, sin = load(args)
    optimizer = None
    if args.mode == "bf16":
        step_in_the_way_back(model, args)
    else:
        optimizer = make_optimizer(list(model.parameters()), args)
    losses, seconds = [], []
    for tokens, targets in batches(args):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.mode == "amp"):
            loss = model(tokens, targets, cos, sin)
        loss.backward()
        if optimizer:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        print(json.dumps({"step": len(losses), "loss": losses[-1], "seconds": seconds[-1]}), flush=True)
    usual = statistics.median(seconds[1:] or seconds)  # the first step also makes states
    print(json.dumps({"loss": losses, "tokens_per_second": args.batch * args.context / usual, "peak_rss_bytes": peak_rss(),
                      "imported_rss_bytes": imported, "torch": torch.__version__}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True, help="GGUF of the llama architecture")
    parser.add_argument("--tokens", required=True, help="raw little-endian token ids")
    parser.add_argument("--width-of-token", type=int, choices=[2, 4], default=2, help="bytes")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--optimizer", choices=["adamw", "sgd"], default="adamw")
    parser.add_argument("--mode", choices=["f32", "amp", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chunked-loss", action="store_true")
    parser.add_argument("--checkpointing", action="store_true")
    args = parser.parse_args()
    if args.chunked_loss and args.mode == "amp":
        parser.error("--chunked-loss does not go with --mode amp")
    torch.set_num_threads(args.threads)
    train(args)


if __name__ == "__main__":
    main()
