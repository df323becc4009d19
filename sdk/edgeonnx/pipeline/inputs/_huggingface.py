"""Read a tokenizer.json of Hugging Face, and refuse what can't be followed to the letter."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Described(NamedTuple):
    """A tokenizer as its file describes it.

    Attributes:
        model: the section `model`: vocabulary, merges, options.
        normalizer: the section, None if there is none.
        pre_tokenizer: the section, None if there is none.
        added: tokens that are no part of the model's vocabulary or are found as they stand, with their ids.
        begin: ids that a text begins with.
        end: ids that a text ends with.
    """

    model: Mapping[str, Any]
    normalizer: Mapping[str, Any] | None
    pre_tokenizer: Mapping[str, Any] | None
    added: dict[str, int]
    begin: list[int]
    end: list[int]


def parse(text: str, kind: str, file: str) -> Described:
    """The parts of a tokenizer.json.

    Args:
        text: the file's.
        kind: which model it should have: `WordPiece` or `BPE`.
        file: its name, for errors.

    Raises:
        ValueError: not such a file, or it asks for something that is not done here.
    """
    try:
        value = json.loads(text)
        model = value["model"]
        vocabulary = model["vocab"]
        added = {str(token["content"]): int(token["id"]) for token in value.get("added_tokens") or ()}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"file: {file} is not a tokenizer.json of Hugging Face") from error
    # Files of before 2020 leave the type out.
    guess = "BPE" if "merges" in model else "Unigram" if isinstance(vocabulary, list) else "WordPiece"
    found = model.get("type") or guess
    if found != kind:
        cure = "; give its sentencepiece .model instead" if found == "Unigram" else ""
        raise ValueError(f"type: {file} holds a {found} model, expected {kind}{cure}")
    plain = [token["content"] for token in value.get("added_tokens") or () if not token.get("special")]
    if plain:
        raise ValueError(f"file: {file} adds ordinary tokens to its vocabulary ({plain[0]!r}), which is not done here")
    begin, end = _around(value.get("post_processor"), file)
    return Described(model, value.get("normalizer"), value.get("pre_tokenizer"), added, begin, end)


def expect(section: Mapping[str, Any] | None, where: str, kinds: Sequence[str], **options: Any) -> None:
    """See that a section is of one of the `kinds` and that its options, where they are set, are these.

    Raises:
        ValueError: it is not.
    """
    kind = (section or {}).get("type", "none")
    if kind not in kinds:
        raise ValueError(f"file: {where} of type {kind}, expected {' or '.join(kinds)}: others are not done here")
    for name, value in options.items():
        got = (section or {}).get(name, value)
        if got != value and (got or value):
            raise ValueError(f"file: {where}.{name} is {got!r}, expected {value!r}: others are not done here")


def _around(section: Any, file: str) -> tuple[list[int], list[int]]:
    """Ids before and after a text, by the section `post_processor`."""
    kind = section["type"] if section else "ByteLevel"
    if kind == "ByteLevel":  # of the offsets of tokens alone
        return [], []
    if kind in ("BertProcessing", "RobertaProcessing"):
        return [section["cls"][1]], [section["sep"][1]]
    if kind == "Sequence":
        around = [_around(part, file) for part in section["processors"]]
        return [i for begin, _ in reversed(around) for i in begin], [i for _, end in around for i in end]
    if kind != "TemplateProcessing":
        raise ValueError(f"file: {file}: post_processor of type {kind} is not done here")
    begin: list[int] = []
    end: list[int] = []
    side = begin
    for piece in section["single"]:
        if "Sequence" in piece:
            side = end
        else:
            side += section["special_tokens"][piece["SpecialToken"]["id"]]["ids"]
    return begin, end
