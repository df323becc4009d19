"""Writes text.npz: what Hugging Face's tokenizers and sentencepiece make of some hundred strings.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 numpy
    python tests/golden/make_text.py

The strings are those of text_strings.json, and drawn ones. The tokenizers are small and trained here, on half of the
strings, so that the other half holds what they don't know. Arrays: `strings` (JSON); for each of the tokenizers'
files its bytes; for each case `CASE.ids`, JSON: a list of ids for each string, or [ids, mask].
"""

import io
import json
import random
import tempfile
from pathlib import Path

import numpy as np
import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BLOCKS = [
    *((0x20, 0x7E), (0xA0, 0x17F), (0x180, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF)),
    *((0x620, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F)),
    *((0x2070, 0x20CF), (0x2100, 0x214F), (0x2190, 0x22FF), (0x2600, 0x27BF), (0x3000, 0x30FF), (0x4E00, 0x4FFF)),
    *((0xAC00, 0xADFF), (0xFF00, 0xFFEF), (0x1F300, 0x1F6FF)),
]


def drawn(count: int) -> list[str]:
    """Strings of characters from few blocks each, Latin letters and spaces among them."""
    draw = random.Random(0)
    found = []
    for _ in range(count):
        blocks = [*(draw.choice(BLOCKS) for _ in range(3)), *[(0x61, 0x7A)] * 3]
        letters = (" " if draw.random() < 0.15 else chr(draw.randint(*draw.choice(blocks))) for _ in range(40))
        found.append("".join(letters)[: draw.randint(1, 40)])
    return found


def wordpiece(corpus: list[str], lowercase: bool) -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=1500, special_tokens=SPECIALS))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def bpe(corpus: list[str], prefix_space: bool) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    made.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=1000, special_tokens=specials, initial_alphabet=alphabet)
    )
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=prefix_space)
    return made


def pieces(corpus: list[str], kind: str) -> bytes:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in corpus for line in text.splitlines() if line),
        model_writer=written, vocab_size=1300, model_type=kind, character_coverage=0.98, hard_vocab_limit=False,
        minloglevel=2, num_threads=1, byte_fallback=kind == "bpe",
        normalization_rule_name="identity" if kind == "bpe" else "nmt_nfkc",
    )  # fmt: skip
    return written.getvalue()


def encoded(tokenizer: Tokenizer, strings: list[str]) -> list[list[int]]:
    return [tokenizer.encode(text).ids for text in strings]


def fitted(tokenizer: Tokenizer, strings: list[str], side: str) -> list[list[list[int]]]:
    tokenizer.enable_truncation(12, direction=side)
    tokenizer.enable_padding(length=12, pad_id=0, pad_token="[PAD]")
    return [[given.ids, given.attention_mask] for given in map(tokenizer.encode, strings)]


def main() -> None:
    strings = [*json.loads((HERE / "text_strings.json").read_text("utf-8")), *drawn(120)]
    corpus = [text for text in strings[::2] for _ in range(3)]
    uncased, cased = wordpiece(corpus, True), wordpiece(corpus, False)
    plain, spaced = bpe(corpus, False), bpe(corpus, True)
    files = {name: pieces(corpus, name.removesuffix(".model")) for name in ("unigram.model", "bpe.model")}
    with tempfile.TemporaryDirectory() as folder:
        plain.model.save(folder)
        files |= {name: (Path(folder) / name).read_bytes() for name in ("vocab.json", "merges.txt")}
    files |= {"uncased.json": uncased.to_str().encode(), "spaced.json": spaced.to_str().encode()}
    files["vocab.txt"] = "\n".join(sorted(cased.get_vocab(), key=cased.get_vocab().get)).encode()
    cases = {"uncased": encoded(uncased, strings), "cased": encoded(cased, strings)}
    cases |= {"plain": encoded(plain, strings), "spaced": encoded(spaced, strings)}
    for name in ("unigram.model", "bpe.model"):
        read = sentencepiece.SentencePieceProcessor(model_proto=files[name])
        cases[name] = [read.encode(text) for text in strings]
    cases |= {side: fitted(uncased, strings, side) for side in ("right", "left")}
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
    for name, value in {"strings": strings, **cases}.items():
        arrays[f"{name}.ids" if name != "strings" else name] = np.frombuffer(json.dumps(value).encode(), np.uint8)
    np.savez_compressed(HERE / "text.npz", **arrays)


if __name__ == "__main__":
    main()
