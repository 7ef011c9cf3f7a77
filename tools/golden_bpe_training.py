"""Writes src/tokenizer/testdata/bpe_training.json: a text, and the vocabulary that Hugging Face's BpeTrainer makes of it.

usage: golden_bpe_training.py OUT_FOLDER      (needs: pip install tokenizers==0.21.0)
"""
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

N_TOKENS = 700
LINES = """The smaller the machine, the more a model has to fit into the memory that is left.
She sells what she has sown; he showed where the shore shows its shells, and they're theirs, aren't they?
A memória é pouca, mas o modelo é enxuto: não há bytes a mais, nem palavras a menos.
Der Speicher ist größer als gestern, aber kleiner als nötig; wir kürzen, was übrig ist.
Память мала, а модель велика; что не помещается, то сжимается.
日本語の文章も、バイトの列として学ばれる。日本語は難しい。
for (int i = 0; i < n; i++) {\tsum += values[i] * weights[i];\n\t\tif (sum > 1024) return sum;\n}
In 2024 there were 366 days, in 2023 only 365; 3.14159 is not 22/7 = 3.142857142857...
  two  spaces,   three   spaces,\r\nand a line that ends as on another system\r\n
👍 thumbs 👍🏽 up — "quoted", 'single', «angled» and (bracketed) [twice] {or more}!!! ???
aaaa aaaaaa aaa bbbbbbb ababababab abcabcabcabc mississippi banana bananas
mmmm hmmm hmmmm zzzzzz zzz """.split("\n")


def text():
    """The lines again and again in another order, with some of their words exchanged: enough for many merges."""
    rng = random.Random(7)
    words = [word for line in LINES for word in line.split()]
    out = []
    for _ in range(12):
        for line in rng.sample(LINES, len(LINES)):
            out.append(line if rng.random() < 0.5 else " ".join(rng.choices(words, k=9)))
    return "\n".join(out)


def main():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=N_TOKENS, min_frequency=2, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([text()], trainer)
    state = json.loads(tokenizer.to_str())["model"]
    ids = sorted(state["vocab"], key=state["vocab"].get)
    golden = {"text": text(), "tokens": ids, "merges": [" ".join(merge) for merge in state["merges"]],
              "ids": tokenizer.encode(text()).ids}
    Path(sys.argv[1], "bpe_training.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")


main()
