"""Writes the tiny Hugging Face folders of src/models/testdata, and beside each, in golden.json, the GGUF keys that
llama.cpp's converter gives it: its own code runs, with a stand-in for torch (no weights are read).

usage: golden_hugging_face.py LLAMA_CPP_FOLDER OUT_FOLDER     (needs: pip install gguf transformers numpy)
"""
import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def split(regex):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


def added(id, content, special=True):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special}


def byte_letters():
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return [chr(b) for b in kept] + [chr(256 + i) for i in range(len(others))]


def byte_bpe(pre, specials, pairs=False, post=None):
    merges = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n")]
    vocab = {t: i for i, t in enumerate(byte_letters() + [a + b for a, b in merges])}
    return {"version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": pre,
            "added_tokens": [added(len(vocab) + i, t, s) for i, (t, s) in enumerate(specials)],
            "post_processor": post or {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                                       "use_regex": True},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "vocab": vocab, "merges": [list(m) if pairs else " ".join(m) for m in merges]}}


def begin_with(token, id):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": token, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}}


def pieces():
    """A SentencePiece-like vocabulary; scores are minus the place of the merge."""
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("i", "n")]
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokens += ["▁", "t", "h", "e", "i", "n"] + [a + b for a, b in merges]
    return tokens, merges


def sentencepiece_bpe():
    tokens, merges = pieces()
    return {"version": "1.0", "truncation": None, "padding": None,
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                              "invert": False},
            "added_tokens": [added(i, t) for i, t in enumerate(tokens[:4])] + [added(len(tokens), "▁▁x", False)],
            "post_processor": begin_with("<bos>", 2),
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
                      "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [" ".join(m) for m in merges]}}


SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 1, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "torch_dtype": "bfloat16",
         "hidden_act": "silu"}
FOLDERS = {
    "llama": (
        {**SIZES, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 264, "rope_theta": 500000.0,
         "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 256},
         "bos_token_id": 260, "eos_token_id": [261, 262], "tie_word_embeddings": True},
        byte_bpe(split(LLAMA3), [("<|begin_of_text|>", True), ("<|eot_id|>", True), ("<tool>", False)], pairs=True,
                 post={"type": "Sequence", "processors": [
                     {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
                     begin_with("<|begin_of_text|>", 260)]}),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "tokenizer_class": "PreTrainedTokenizerFast",
         "chat_template": "{{ messages[0]['content'] }}"}, "llama-bpe"),
    "qwen2": (
        {**SIZES, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 263,
         "rope_theta": 1000000.0, "tie_word_embeddings": False, "bos_token_id": 260, "eos_token_id": 261},
        byte_bpe(split(QWEN2), [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True)]),
        {"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>", "__type": "AddedToken"},
         "add_bos_token": False, "bos_token": None, "tokenizer_class": "PreTrainedTokenizerFast",
         "chat_template": [{"name": "default", "template": "one"}, {"name": "tool use", "template": "two"}]}, "qwen2"),
    "qwen3": (
        {**SIZES, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 263, "head_dim": 16,
         "rope_theta": 1000000, "tie_word_embeddings": True, "attention_bias": False},
        byte_bpe(split(QWEN2), [("<|endoftext|>", True), ("<think>", False), ("<|im_end|>", True)]),
        {"eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"}, "qwen2"),
    "gemma3": (
        {**SIZES, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 274, "head_dim": 8,
         "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window": 32, "sliding_window_pattern": 6,
         "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "final_logit_softcapping": None,
         "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0},
        sentencepiece_bpe(),
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>", "add_bos_token": True,
         "add_eos_token": False, "tokenizer_class": "PreTrainedTokenizerFast"}, None),
    "gpt2": (
        {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new", "n_embd": 16,
         "n_layer": 2, "n_head": 2, "n_ctx": 64, "n_positions": 64, "n_inner": None, "layer_norm_epsilon": 1e-05,
         "vocab_size": 261, "bos_token_id": 260, "eos_token_id": 260},
        byte_bpe({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                 [("<|endoftext|>", True)]),
        {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
         "add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer"}, "gpt-2"),
}
CLASSES = {"llama": ("llama", "LlamaModel"), "qwen2": ("qwen", "Qwen2Model"), "qwen3": ("qwen", "Qwen3Model"),
           "gemma3": ("gemma", "Gemma3Model"), "gpt2": ("gpt2", "GPT2Model")}


def write_folder(folder, config, tokenizer, tokenizer_config):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("config", config), ("tokenizer", tokenizer), ("tokenizer_config", tokenizer_config)):
        (folder / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def converter(folder, name, config):
    """The converter's object for a folder, without its constructor's look at the weights."""
    import importlib
    import gguf
    module, class_name = CLASSES[name]
    cls = getattr(importlib.import_module(f"conversion.{module}"), class_name)
    base = importlib.import_module("conversion.base")
    base.ModelBase.__init__ = lambda self, *a, **k: None
    self = cls.__new__(cls)
    self.dir_model, self.hparams, self.is_mistral_format = folder, dict(config), False
    self.ftype, self.remote_hf_model_id = gguf.LlamaFileType.MOSTLY_BF16, None
    self.gguf_writer = gguf.GGUFWriter(None, name)
    base.TextModel.__init__(self)
    self.origin_hf_arch = config["architectures"][0]
    return self


def pieces_of(self):
    """SentencePiece's part: what its processor would read from a tokenizer.model with these pieces."""
    tokens, merges = pieces()
    n = self.hparams["vocab_size"]
    scores = {a + b: -float(i) for i, (a, b) in enumerate(merges)}
    kinds = [3, 3, 3, 3] + [6] * 256 + [1] * (len(tokens) - 260)
    out = [(t, scores.get(t, -1000.0), k) for t, k in zip(tokens, kinds)]
    out = [(t, -1000.0, k) if k == 3 else (t, s, k) for t, s, k in out]
    out += [("  x", -1000.0, 4)]
    out += [(f"[PAD{i}]", -10000.0, 5) for i in range(len(out), n)]
    return [[x[i] for x in out] for i in range(3)]


def golden(folder, name, config, pre):
    self = converter(folder, name, config)
    if pre:
        type(self).get_vocab_base_pre = lambda *_: pre  # by a hash of the true vocabulary, which this is not
        self.set_vocab()
    else:
        self._create_vocab_sentencepiece = lambda: pieces_of(self)
        self._set_vocab_sentencepiece()
        self.gguf_writer.add_add_space_prefix(False)
    self.set_gguf_parameters()
    keys = {}
    for part in self.gguf_writer.kv_data:
        for key, value in part.items():
            keys[key] = value.value.decode() if isinstance(value.value, bytes) else value.value
    # general.* describes the file, and a separator stands between pairs of texts: nothing that generates.
    return {k: v for k, v in keys.items() if not k.startswith("general.") and not k.endswith("add_sep_token")}


def main():
    llama_cpp, out = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    import transformers  # noqa: F401: before torch has its stand-in
    from transformers import AutoTokenizer  # noqa: F401
    torch = types.ModuleType("torch")
    torch.__getattr__ = lambda name: MagicMock() if name not in ("Tensor", "dtype") else type(name, (), {})
    sys.modules["torch"] = torch
    for name, (config, tokenizer, tokenizer_config, pre) in FOLDERS.items():
        write_folder(out / name, config, tokenizer, tokenizer_config)
        keys = golden(out / name, name, config, pre)
        (out / name / "golden.json").write_text(json.dumps(keys, ensure_ascii=False), encoding="utf-8")
        print(name, len(keys))


main()
