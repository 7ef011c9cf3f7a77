#!/usr/bin/env python3
"""Writes tests/parity/testdata/training.json: losses and gradients of tiny random models by Hugging Face transformers.

    python3 tools/golden_training.py MAKE_TINY

MAKE_TINY   build/tests/make_tiny
Needs torch, transformers, apollo-torch (1.0.3, which imports bitsandbytes), gguf and numpy. All is f32, on one thread.
Parameters are the tensors of the GGUF file, in its own order of rows; transformers' model is handed what they are there
(rows of a llama's q and k in another order, a gemma's norms less one, a gpt2's matrices transposed), so that gradients come back in the file's order
and optimizers work in it. First its logits are compared with stock llama.cpp's of the same model (logits.json), factors
of attention's products rounded to f16 as there.

The batch of every step: 2 sequences, the loss is the mean over the 24 predictions of each. Token i of sequence s is
(7 i^2 + 11 i + 5 + 100 s) mod 288, i from 0 to 24. For every tensor there is the norm of its gradient before the first
step, and some elements [index in the file's order, gradient]: the largest one, and seven spread over those that are
larger than a tenth of the root mean square. Then 20 steps of each optimizer from the same weights: the loss before each,
and after the last. AdamW decays matrices only, before the step as torch does; SGD does not decay. Of AdamW's steps torch's
AveragedModel keeps an exponential average (get_ema_multi_avg_fn): its loss after some of them, [step, loss]. APOLLO is
apollo-torch's, of vectors its AdamW, 8 steps, since steps of one length jump to and fro where the loss is next to
nothing; "later" is the same as if 196 had been done: after 200 the projection is drawn anew. It is drawn as enxuto draws
it. Rows of the embedding that are looked up are a matrix of their own, and so are the others: they move by themselves.
Each case has the same of 0.7 KL(teacher || model) + 0.3 loss for a teacher of whom 8 tokens and the rest
are known: of prediction t of sequence s it names tokens 36 j + (5 t + 7 s) mod 36, j from 0 to 7, with ((j + t) mod 9 + 1) / 45;
j = 8 are all others together.

How close to be: another order of sums, and weights an ulp off, move no loss by more than 1.5e-5 of it, while a weight
decay left out, another beta or another epsilon moves some by 1e-3 and more.
"""
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import apollo_torch.apollo
import gguf
import numpy as np
import torch
import transformers

TESTDATA = Path(__file__).resolve().parent.parent / "tests/parity/testdata"
# (architecture, biases of q, k and v where it need not have them, whether its head is left out of the file)
CASES = [("llama", False, False), ("llama", True, True), ("qwen2", False, False), ("qwen3", False, False),
         ("gemma3", False, False), ("gpt2", False, False), ("mixtral", False, False), ("qwen2moe", False, False),
         ("qwen3moe", False, False)]
LENGTH, SEQUENCES, STEPS, SAMPLES = 24, 2, 20, 8
DECAY, AVERAGED_STEPS = 0.9, (1, 5, 10, 20)
TAUGHT, TEACHER_WEIGHT = 8, 0.7
OPTIMIZERS = {"adamw": {"lr": 3e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1},
              "sgd": {"lr": 1e-2, "momentum": 0.9},
              "apollo": {"lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "steps": 8,
                         "steps_before": 0},
              "later": {"lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "steps": 8,
                        "steps_before": 196}}
SEED = 1
NAMES = {"attn_norm": "input_layernorm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
         "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "token_embd": "embed_tokens", "output_norm": "norm",
         "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
# Of a mixture, gate and up of all experts are one parameter, and of a gemma3 ffn_norm is another.
MIXTURE_NAMES = {"ffn_gate_inp": "mlp.gate", "ffn_gate_exps": "mlp.experts.gate_up_proj",
                 "ffn_up_exps": "mlp.experts.gate_up_proj", "ffn_down_exps": "mlp.experts.down_proj",
                 "ffn_gate_inp_shexp": "mlp.shared_expert_gate", "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
                 "ffn_up_shexp": "mlp.shared_expert.up_proj", "ffn_down_shexp": "mlp.shared_expert.down_proj"}
GPT2_NAMES = {"token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f", "attn_norm": "ln_1",
              "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc",
              "ffn_down": "mlp.c_proj"}
KINDS = {"llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
         "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
         "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
         "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
         "gpt2": (transformers.GPT2Config, transformers.GPT2LMHeadModel),
         "mixtral": (transformers.MixtralConfig, transformers.MixtralForCausalLM),
         "qwen2moe": (transformers.Qwen2MoeConfig, transformers.Qwen2MoeForCausalLM),
         "qwen3moe": (transformers.Qwen3MoeConfig, transformers.Qwen3MoeForCausalLM)}


def attention_of_stock(module, q, k, v, mask, scaling, **_):
    """As llama.cpp computes it with its cache in f16: every factor of a product is rounded."""
    groups = getattr(module, "num_key_value_groups", 1)
    k, v = (t.repeat_interleave(groups, 1).half().float() for t in (k, v))
    weights = torch.softmax(q.half().float() @ k.transpose(2, 3) * scaling + mask, -1)
    return (weights.half().float() @ v).transpose(1, 2).contiguous(), weights


transformers.AttentionInterface.register("stock", attention_of_stock)
transformers.AttentionMaskInterface.register("stock", transformers.masking_utils.eager_mask)


class Model:
    """A GGUF file's tensors, and what transformers makes of them."""

    def __init__(self, path, tied):
        reader = gguf.GGUFReader(path)
        keys = {key: field.contents() for key, field in reader.fields.items()}
        self.architecture = keys["general.architecture"]
        self.keys = {key.removeprefix(self.architecture + "."): value for key, value in keys.items()}
        self.n_experts = self.keys.get("expert_count", 0)
        if self.architecture == "llama" and self.n_experts:
            self.architecture = "mixtral"
        tensors = {t.name: torch.from_numpy(np.array(t.data, dtype=np.float32)) for t in reader.tensors}
        for name, t in tensors.items():
            if t.ndim == 3:  # experts: one matrix below the other
                tensors[name] = t.flatten(0, 1)
        if tied:
            tensors.pop("output.weight", None)
        self.places = {name: place for place, name in enumerate(tensors)}
        rope_factors = tensors.pop("rope_freqs.weight", None)  # not a parameter
        self.parameters = {name: t.requires_grad_() for name, t in tensors.items()}
        config, model = KINDS[self.architecture]
        self.peer = model(config(**self.config(len(keys["tokenizer.ggml.tokens"])))).eval()
        if rope_factors is not None:
            self.peer.model.rotary_emb.inv_freq /= rope_factors
        self.heads = {"attn_q": self.keys["attention.head_count"], "attn_k": self.keys.get("attention.head_count_kv")}
        known = dict(self.peer.named_parameters())
        with torch.no_grad():
            for name, values in self.in_peer().items():
                known.pop(name).copy_(values)
        for name, left in known.items():  # of the output of attention: no GGUF file has it
            assert name.endswith("o_proj.bias") and not left.any(), name

    def config(self, vocabulary):
        k = self.keys
        if self.architecture == "gpt2":
            return {"vocab_size": vocabulary, "n_embd": k["embedding_length"], "n_layer": k["block_count"],
                    "n_inner": k["feed_forward_length"], "n_head": k["attention.head_count"],
                    "layer_norm_epsilon": k["attention.layer_norm_epsilon"], "n_positions": k["context_length"],
                    "attn_implementation": "eager", "bos_token_id": 0, "eos_token_id": 2}
        config = {"vocab_size": vocabulary, "hidden_size": k["embedding_length"], "num_hidden_layers": k["block_count"],
                  "intermediate_size": k["feed_forward_length"], "num_attention_heads": k["attention.head_count"],
                  "num_key_value_heads": k["attention.head_count_kv"], "head_dim": k["attention.key_length"],
                  "rms_norm_eps": k["attention.layer_norm_rms_epsilon"], "max_position_embeddings": k["context_length"],
                  "tie_word_embeddings": "output.weight" not in self.parameters, "attn_implementation": "eager",
                  "pad_token_id": None, "bos_token_id": 0, "eos_token_id": 2,
                  "rope_parameters": {"rope_type": "default", "rope_theta": k["rope.freq_base"]}}
        if self.n_experts:
            config["num_experts_per_tok"] = k["expert_used_count"]
            config["num_local_experts" if self.architecture == "mixtral" else "num_experts"] = self.n_experts
            config["moe_intermediate_size"] = k.get("expert_feed_forward_length")
            config["shared_expert_intermediate_size"] = k.get("expert_shared_feed_forward_length")
            config["norm_topk_prob"] = self.architecture == "qwen3moe"  # a mixtral's always
            config["experts_implementation"] = "eager"
        if self.architecture == "llama":
            config["attention_bias"] = "blk.0.attn_q.bias" in self.parameters
        if self.architecture == "gemma3":
            config["sliding_window"] = k["attention.sliding_window"]
            config["query_pre_attn_scalar"] = k["attention.key_length"]
            config["rope_parameters"] = {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": k["rope.scaling.type"], "factor": k["rope.scaling.factor"],
                                   "rope_theta": k["rope.freq_base"]}}
        return config

    def peer_name(self, name):
        """blk.2.attn_q.weight -> model.layers.2.self_attn.q_proj.weight"""
        stem, _, kind = name.rpartition(".")
        if stem == "output":
            return "lm_head.weight"
        gpt2 = self.architecture == "gpt2"
        prefix = "transformer." if gpt2 else "model."
        if stem.startswith("blk."):
            _, layer, stem = stem.split(".")
            prefix += f"h.{layer}." if gpt2 else f"layers.{layer}."
        if gpt2:
            return f"{prefix}{GPT2_NAMES[stem]}.{kind}"
        if stem in MIXTURE_NAMES:
            return prefix + MIXTURE_NAMES[stem] + (".weight" if "exps" not in stem else "")
        if stem == "ffn_norm":
            return prefix + ("pre_feedforward" if self.architecture == "gemma3" else "post_attention") + "_layernorm.weight"
        return f"{prefix}{NAMES[stem]}.{kind}"

    def peer_values(self, name, values):
        stem = name.split(".")[-2]
        if self.architecture == "gpt2" and name.startswith("blk.") and values.ndim == 2:
            return values.T
        if self.architecture == "gemma3" and stem.endswith("norm"):
            return values - 1
        if stem.endswith("_exps"):
            return values.unflatten(0, (self.n_experts, -1))
        if stem == "ffn_gate_inp_shexp":
            return values[None]
        if self.architecture in ("llama", "mixtral") and stem in self.heads:  # pairs lie side by side here, half a head apart there
            return values.unflatten(0, (self.heads[stem], -1, 2)).transpose(1, 2).flatten(0, 2)
        return values

    def in_peer(self):
        values = {}
        for name, own in self.parameters.items():
            peer_name, theirs = self.peer_name(name), self.peer_values(name, own)
            if name.endswith("ffn_gate_exps.weight"):
                up = name.replace("gate", "up")
                theirs = torch.cat([theirs, self.peer_values(up, self.parameters[up])], 1)
            values.setdefault(peer_name, theirs)  # the order of the file: gate before up
        return values

    def logits(self, tokens):
        return torch.func.functional_call(self.peer, self.in_peer(), (tokens,), {"use_cache": False}).logits

    def loss_with(self, values, batch):
        """Of other values in the parameters' places."""
        own, self.parameters = self.parameters, dict(zip(self.parameters, values))
        with torch.no_grad():
            loss = self.loss(batch)
        self.parameters = own
        return loss

    def loss(self, batch):
        logits = self.logits(batch[:, :-1])
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def batch():
    return torch.tensor([[(7 * i * i + 11 * i + 5 + 100 * s) % 288 for i in range(LENGTH + 1)] for s in range(SEQUENCES)])


def short(value):
    return float(f"{value:.8g}")


def check_logits(model, biases, tied):
    """The root mean square of the difference to stock llama.cpp's, beside their spread."""
    golden = json.loads((TESTDATA / "logits.json").read_text())
    if biases or (tied and model.architecture == "llama"):
        return "not compared"  # not among the golden ones
    rows = next(case["logits"] for case in golden["cases"]
                if case["architecture"] == model.architecture and case["type"] == "F32")
    expected = torch.tensor(rows)
    model.peer.set_attn_implementation("stock")
    with torch.no_grad():
        found = model.logits(torch.tensor([golden["tokens"]]))[0, golden["positions"]]
    model.peer.set_attn_implementation("eager")
    error = float((found - expected).pow(2).mean().sqrt() / expected.std())
    assert error < 5e-4, error
    return f"{error:.1e} off stock's"


def sample(gradient):
    flat = gradient.flatten()
    large = torch.nonzero(flat.abs() > 0.1 * flat.pow(2).mean().sqrt()).flatten()
    spread = [large[(2 * j + 1) * len(large) // (2 * SAMPLES - 2)] for j in range(SAMPLES - 1)]
    return [[int(i), short(flat[i])] for i in (flat.abs().argmax(), *spread)]


def taught():
    """Tokens (n, 8), and probabilities (n, 9)."""
    places = [(s, t) for s in range(SEQUENCES) for t in range(LENGTH)]
    tokens = [[36 * j + (5 * t + 7 * s) % 36 for j in range(TAUGHT)] for s, t in places]
    p = [[((j + t) % (TAUGHT + 1) + 1) / 45 for j in range(TAUGHT + 1)] for _, t in places]
    return torch.tensor(tokens), torch.tensor(p)


def taught_losses(model):
    tokens, p = taught()
    log_q = torch.log_softmax(model.logits(batch()[:, :-1]).flatten(0, 1), -1)
    others = torch.scatter(torch.zeros_like(log_q), 1, tokens, -torch.inf) + log_q
    buckets = torch.cat([log_q.gather(1, tokens), others.logsumexp(1, keepdim=True)], 1)
    kld = torch.nn.functional.kl_div(buckets, p, reduction="batchmean")
    return kld, torch.nn.functional.nll_loss(log_q, batch()[:, 1:].flatten())


def golden_taught(model):
    """Of the head, which alone knows of a teacher, and of the first layer, for the whole way back."""
    kld, loss = taught_losses(model)
    found = gradients(model, TEACHER_WEIGHT * kld + (1 - TEACHER_WEIGHT) * loss)
    names = {"output.weight", "output_norm.weight", "token_embd.weight", "blk.0.ffn_down.weight"}
    return {"weight": TEACHER_WEIGHT, "kld": short(kld.item()),
            "gradients": {name: found[name] for name in found if name in names}}


def gradients(model, loss):
    loss.backward()
    return {name: {"norm": short(t.grad.double().norm()), "elements": sample(t.grad)}
            for name, t in model.parameters.items()}


class Projection:
    """To one number for each row, or for each column, drawn as `Chance` does (kernels/optimizer_steps.h)."""

    def __init__(self, place, rows):
        self.place, self.rows = place, rows

    def project(self, gradient, steps):
        seed = ((self.place << 32 | steps // 200) + 1) * 0x9e3779b97f4a7c15 ^ (~SEED * 0xd1342543de82ef95)
        p = torch.tensor(normal(seed >> 32 ^ seed, gradient.shape[1 if self.rows else 0]))
        return (gradient @ p)[:, None] if self.rows else (p @ gradient)[None]


def normal(seed, n):
    z = np.arange(2 * n, dtype=np.uint32) ^ np.uint32(seed & 0xffffffff)
    for shift, factor in (0, 0x9e3779b1), (15, 0x85ebca6b), (13, 0xc2b2ae35):
        z = (z ^ z >> np.uint32(shift) if shift else z) * np.uint32(factor)
    uniform = ((z ^ z >> np.uint32(16)) >> np.uint32(8)).astype(np.float64) / 2**24
    return (np.sqrt(-2 * np.log(1 - uniform[0::2])) * np.cos(2 * np.pi * uniform[1::2])).astype(np.float32)


class Apollo:
    """Rows of the embedding that are looked up and the others are parameters of their own, joined before each step."""

    def __init__(self, model, options):
        self.model, self.embedding = model, model.parameters["token_embd.weight"]
        looked_up = torch.zeros(len(self.embedding), dtype=torch.bool)
        looked_up[batch()[:, :-1].flatten()] = True
        self.parts = {torch.nn.Parameter(self.embedding[rows].detach()): rows for rows in (looked_up, ~looked_up)}
        matrices = {t: (name, False) for name, t in model.parameters.items() if t.ndim == 2 and t is not self.embedding}
        matrices |= {t: ("token_embd.weight", True) for t in self.parts}
        vectors = [t for t in model.parameters.values() if t.ndim == 1]
        self.optimizer = apollo_torch.apollo.AdamW([
            {"params": list(matrices), "rank": 1, "proj": "random", "scale": 128, "update_proj_gap": 200,
             "proj_type": "std", "scale_type": "tensor"}, {"params": vectors, "weight_decay": 0.0}],
            lr=options["lr"], betas=options["betas"], eps=options["eps"], weight_decay=options["weight_decay"])
        for t in [*matrices, *vectors]:
            self.optimizer.state[t]["step"] = options["steps_before"]
        for t, (name, by_rows) in matrices.items():
            projection = Projection(model.places[name], by_rows or t.shape[0] >= t.shape[1])
            self.optimizer.state[t]["projector"] = projection

    def zero_grad(self):
        self.optimizer.zero_grad()
        self.embedding.grad = None

    def step(self):
        for part, rows in self.parts.items():
            part.grad = self.embedding.grad[rows]
        self.optimizer.step()
        with torch.no_grad():
            for part, rows in self.parts.items():
                self.embedding[rows] = part


def train(model, kind):
    """Losses before each step and after the last; of the average, after some."""
    options, losses, averaged = OPTIMIZERS[kind], [], []
    together = torch.nn.ParameterList([torch.nn.Parameter(t.detach()) for t in model.parameters.values()])
    average = torch.optim.swa_utils.AveragedModel(
        together, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY))
    if "steps_before" in options:
        optimizer = Apollo(model, options)
    elif kind == "adamw":
        groups = [{"params": [t for t in model.parameters.values() if t.ndim == 2]},
                  {"params": [t for t in model.parameters.values() if t.ndim == 1], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, **options)
    else:
        optimizer = torch.optim.SGD(model.parameters.values(), **options)
    for step in range(1, options.get("steps", STEPS) + 1):
        optimizer.zero_grad()
        loss = model.loss(batch())
        loss.backward()
        losses.append(short(loss.item()))
        optimizer.step()
        average.update_parameters(together)
        if step in AVERAGED_STEPS:
            averaged.append([step, short(model.loss_with(average.parameters(), batch()).item())])
    return [*losses, short(model.loss(batch()).item())], averaged


def golden_case(path, architecture, biases, tied):
    model = Model(path, tied)
    print(f"{architecture}{', with biases' if biases else ''}{', without its head' if tied else ''}: logits "
          f"{check_logits(model, biases, tied)}")
    case = {"architecture": architecture, "attention_bias": biases, "without_head": tied,
            "gradients": gradients(model, model.loss(batch()))}
    case["loss"] = short(model.loss(batch()).item())
    case["taught"] = golden_taught(Model(path, tied))
    for kind in OPTIMIZERS:
        case[kind], averaged = train(Model(path, tied), kind)
        if kind == "adamw":
            case["adamw_averaged"] = averaged
        print(f"  {kind}: {case[kind][0]:.4f} ... {case[kind][-1]:.4f}")
    return case


def main():
    torch.set_num_threads(1)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for architecture, biases, tied in CASES:
            path = str(Path(folder) / "tiny.gguf")
            subprocess.run([sys.argv[1], architecture, "F32", path, *(["biases"] if biases else [])], check=True)
            cases.append(golden_case(path, architecture, biases, tied))
    head = {"made_by": f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, "
                       f"{platform.machine()}", "tokens": batch().tolist(), "optimizers": OPTIMIZERS, "decay": DECAY}
    lines = []
    for case in cases:
        tensors = case.pop("gradients")
        rows = ",\n".join(f"{json.dumps(name)}:{json.dumps(t, separators=(',', ':'))}" for name, t in tensors.items())
        lines.append(f'{json.dumps(case, separators=(",", ":"))[:-1]},"gradients":{{\n{rows}}}}}')
    out = TESTDATA / "training.json"
    out.write_text(f'{json.dumps(head)[:-1]}, "cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(out.name, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
