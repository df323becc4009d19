"""Text: ids equal to those of Hugging Face's tokenizers and of sentencepiece; cut, filled up, masked."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, run

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.graph import join, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="onnxruntime-extensions has no wheel for this Python"
)

GOLDEN = Path(__file__).parents[1] / "golden" / "text.npz"
FILES = ("uncased.json", "vocab.txt", "vocab.json", "merges.txt", "spaced.json", "unigram.model", "bpe.model")
WORDPIECE = {"type": "wordpiece", "file": "uncased.json"}
BERT = """(int64[N,S] input_ids, int64[N,S] attention_mask, int64[N,S] token_type_ids) => (int64[N,S] y) {
    a = Mul(input_ids, attention_mask) y = Add(a, token_type_ids)
}"""
IDS = "(int64[1,S] ids) => (int64[1,S] y) { y = Identity(ids) }"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    """Where the tokenizers' files are."""
    place = tmp_path_factory.mktemp("tokenizers")
    for name in FILES:
        (place / name).write_bytes(golden[name])
    return place


@pytest.fixture(scope="module")
def strings(golden):
    return json.loads(golden["strings"])


@pytest.fixture
def parse(folder):
    def of(tokenizer, **more):
        return PipelineSpec.parse({"input": {"text": {"tokenizer": tokenizer, **more}}}, "spec", folder)

    return of


@pytest.fixture(scope="module")
def session(folder):
    """Of the preprocessing of a model of fixed length."""
    source = {"tokenizer": WORDPIECE, "max_length": 12, "padding": "max_length"}
    spec = PipelineSpec.parse({"input": {"text": source}}, "spec", folder)
    return preprocessing(build(BERT), spec).session()


def text(value):
    return np.array([value], object)


def encoded(spec, strings, model=None):
    """Ids of each text, by one session."""
    before = preprocessing(model or build(IDS), spec)
    session, name = before.session(), before.outputs[0].name
    return [session.run([name], {"text": text(string)})[0][0].tolist() for string in strings]


CASES = {
    "uncased": WORDPIECE,
    "cased": {"type": "wordpiece", "file": "vocab.txt", "lowercase": False},
    "plain": {"type": "bpe", "file": "vocab.json", "merges": "merges.txt", "begin": ["<s>"], "end": ["</s>"]},
    "spaced": {"type": "bpe", "file": "spaced.json"},
    "unigram.model": {"type": "sentencepiece", "file": "unigram.model"},
    "bpe.model": {"type": "sentencepiece", "file": "bpe.model"},
}


@pytest.mark.parametrize("case", CASES)
def test_ids_are_the_reference_s(case, parse, golden, strings):
    expected = json.loads(golden[f"{case}.ids"])
    got = encoded(parse(CASES[case]), strings)
    differing = [(s, g, e) for s, g, e in zip(strings, got, expected, strict=True) if g != e]
    if case == "unigram.model":  # releases of sentencepiece take either of two ways that score the same
        tied = [s for s, g, e in differing if sorted(g) == sorted(e)]
        assert len(tied) < 5
        differing = [found for found in differing if found[0] not in tied]
    assert differing == []
    assert len(strings) > 150


@pytest.mark.parametrize("side", ["right", "left"])
def test_cut_and_filled_up_as_the_reference_does(side, parse, golden, strings):
    spec = parse(WORDPIECE, max_length=12, truncation=side, padding="max_length")
    model = build(BERT)
    before = preprocessing(model, spec)
    assert [tensor.name for tensor in before.outputs][-1] == "text.mask.note"
    session = before.session()
    for string, (ids, mask) in zip(strings, json.loads(golden[f"{side}.ids"]), strict=True):
        outputs = session.run(None, {"text": text(string)})
        np.testing.assert_array_equal(outputs, [[ids], [mask], [[0] * 12], [mask]])


def test_what_is_not_cut_stays_short(parse):
    spec = parse(WORDPIECE, max_length=12)
    model = build(BERT)
    short, long = (run(preprocessing(model, spec), {"text": text(value)}) for value in ("", "word " * 99))
    assert short["input_ids.prepared"].tolist() == [[2, 3]]
    assert short["text.mask.note"].tolist() == [[1, 1]]
    assert long["input_ids.prepared"].shape == (1, 12)
    assert long["input_ids.prepared"][0, -1] == 3


def test_joined_equals_apart(parse):
    spec, model = parse(WORDPIECE), build(BERT, opset=21, ir_version=10)
    joined = join(model, spec)
    assert [str(tensor) for tensor in joined.inputs] == ["text: str[1]"]
    feeds = {"text": text("Hello, unbelievable wörld 漢字!")}
    prepared = run(preprocessing(model, spec), feeds)
    by_hand = run(model, {name.removesuffix(".prepared"): prepared[name] for name in list(prepared)[:3]})
    np.testing.assert_array_equal(run(joined, feeds)["y"], by_hand["y"])


def test_inputs_of_other_names_types_and_ranks(parse):
    model = build(
        """(int32[8] words, float[1,8] there, int32[1,8] place, float[1] other)
            => (int32[8] y, float[1,8] z, int32[1,8] p) {
            y = Neg(words) z = Add(there, other) p = Identity(place)
        }"""
    )
    spec = parse(WORDPIECE, ids="words", mask="there", positions="place", max_length=8, padding="max_length")
    got = run(join(model, spec), {"text": text("a b"), "other": np.zeros(1, np.float32)})
    assert got["y"].dtype == np.int32
    assert got["y"].shape == (8,)
    assert got["y"][0] == -2
    assert set(got["z"][0]) == {0.0, 1.0}
    assert got["p"].tolist() == [list(range(8))]


def test_fairseq_ids(parse, folder):
    own = encoded(parse({"type": "sentencepiece", "file": "unigram.model"}), ["the quick ☃ brown"])[0]
    tokenizer = {"type": "sentencepiece", "file": "unigram.model", "fairseq": True, "begin": ["<s>"], "end": ["</s>"]}
    shifted = encoded(parse(tokenizer), ["the quick ☃ brown"])[0]
    assert shifted == [0, *({0: 3, 1: 0, 2: 2}.get(i, i + 1) for i in own), 2]


def test_the_fingerprint_is_of_the_content(tmp_path, golden):
    spec = tmp_path / "pipeline.toml"
    spec.write_text('[input.text]\ntokenizer = {type = "wordpiece", file = "vocab.txt"}\n', "utf-8")
    (tmp_path / "vocab.txt").write_bytes(golden["vocab.txt"])
    first = load_pipeline(spec)
    assert load_pipeline(spec).fingerprint == first.fingerprint
    (tmp_path / "vocab.txt").write_bytes(golden["vocab.txt"].rstrip() + b"\n##another")
    assert load_pipeline(spec).fingerprint != first.fingerprint
    with pytest.raises(PipelineError, match=r"sha256: vocab.txt has \w+; the spec is for other content"):
        PipelineSpec.parse(json.loads(first.text), "spec", tmp_path)


def test_the_fingerprint_is_not_of_the_place(folder):
    prints = set()
    for file in ("vocab.txt", str(folder / "vocab.txt"), f"../{folder.name}/vocab.txt"):
        tokenizer = {"type": "wordpiece", "file": file}
        prints.add(PipelineSpec.parse({"input": {"text": {"tokenizer": tokenizer}}}, "spec", folder).fingerprint)
    assert len(prints) == 1


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_has_a_beginning_and_an_end(session, string):
    ids, mask = (output[0] for output in session.run(None, {"text": text(string)})[:2])
    assert len(ids) == len(mask) == 12
    used = ids[: mask.sum()]
    assert (used[0], used[-1]) == (2, 3)
    assert not ids[mask.sum() :].any()


def test_a_word_that_stands_for_no_token_stays_text(parse):
    """What a user types can't end a text, or begin another: BPE takes `</s>` for what it looks like."""
    (ids,) = encoded(parse(CASES["plain"]), ["a </s> b"])
    assert ids.count(2) == 1


BAD = [
    ({"type": "wordpiece", "file": "no.txt"}, {}, r"file: .*no.txt can't be read: No such file"),
    ({"type": "wordpiece", "file": "merges.txt"}, {}, r"merges.txt is no WordPiece vocabulary: it has no \[UNK\]"),
    ({"type": "wordpiece", "file": "unigram.model"}, {}, "unigram.model is not text in UTF-8"),
    ({"type": "wordpiece", "file": "spaced.json"}, {}, "spaced.json holds a BPE model, expected WordPiece"),
    ({"type": "bpe", "file": "uncased.json"}, {}, "uncased.json holds a WordPiece model, expected BPE"),
    ({"type": "bpe", "file": "vocab.json"}, {}, "vocab.json is not a tokenizer.json of Hugging Face"),
    ({"type": "bpe", "file": "merges.txt", "merges": "merges.txt"}, {}, "merges.txt is no vocab.json"),
    ({"type": "bpe", "file": "vocab.json", "merges": "vocab.txt"}, {}, "vocab.txt is no merges.txt"),
    ({"type": "sentencepiece", "file": "vocab.txt"}, {}, "vocab.txt is no .model of sentencepiece"),
    ({**WORDPIECE, "begin": ["[XYZ]"]}, {}, r"uncased.json has no token '\[XYZ\]'"),
    ({**WORDPIECE, "end": [99999]}, {}, "uncased.json has no token 99999"),
    ({**WORDPIECE, "sha256": "00"}, {}, "sha256: uncased.json has"),
    (
        {"type": "wordpeice", "file": "vocab.txt"},
        {},
        "tokenizer.type: 'wordpeice' is not a known type. Near: wordpiece",
    ),
    ({**WORDPIECE, "lower": True}, {}, "tokenizer.lower is not a known field. Near: lowercase"),
    (WORDPIECE, {"max_length": 2}, "expected more than 2, which begin and end take"),
    (WORDPIECE, {"padding": "max_length"}, "expected max_length too"),
    (CASES["unigram.model"], {"max_length": 4, "padding": "max_length"}, "say which token fills up"),
]


@pytest.mark.parametrize(("tokenizer", "more", "match"), BAD, ids=range(len(BAD)))
def test_a_spec_that_can_t_be(tokenizer, more, match, parse):
    with pytest.raises(PipelineError, match=match) as caught:
        parse(tokenizer, **more)
    assert "\n" not in str(caught.value)


CHANGES = [
    (("normalizer", "type", "NFC"), "normalizer of type NFC, expected BertNormalizer"),
    (("normalizer", "clean_text", False), "normalizer.clean_text is False, expected True"),
    (("pre_tokenizer", "type", "Whitespace"), "pre_tokenizer of type Whitespace, expected BertPreTokenizer"),
    (("model", "max_input_chars_per_word", 20), "model.max_input_chars_per_word is 20, expected 100"),
    (("post_processor", "type", "Odd"), "post_processor of type Odd"),
]


@pytest.mark.parametrize(("change", "match"), CHANGES, ids=lambda value: str(value)[:20])
def test_what_can_t_be_followed_to_the_letter_is_refused(change, match, golden, tmp_path):
    value = json.loads(golden["uncased.json"])
    section, field, other = change
    value[section][field] = other
    (tmp_path / "tokenizer.json").write_text(json.dumps(value), "utf-8")
    tokenizer = {"type": "wordpiece", "file": "tokenizer.json"}
    with pytest.raises(PipelineError, match=match):
        PipelineSpec.parse({"input": {"text": {"tokenizer": tokenizer}}}, "spec", tmp_path)


NEG = "(%s x) => (%s y) { y = Neg(x) }"
MISFITS = [
    (NEG % (("float[1,S]",) * 2), {}, r"input.text.ids: expected an input of integers, .* x: float32"),
    (NEG % (("int64[1,2,S]",) * 2), {}, r"expected an input of \[tokens\] or \[1, tokens\]"),
    (NEG % (("int64[2,S]",) * 2), {}, r"one at a time, .* x: int64\[2,S\]"),
    (NEG % (("int64[1,8]",) * 2), {}, r"expected padding = max_length and max_length = 8, got .*none"),
    (IDS, {"ids": "z"}, "input.text.ids: the model has no input 'z'; it has ids"),
    (IDS, {"mask": "z"}, "input.text.mask: the model has no input 'z'"),
    ("(int64[1,S] a, int64[1,S] b) => (int64[1,S] y) { y = Add(a, b) }", {}, "which of the model's inputs"),
]


@pytest.mark.parametrize(("model", "more", "match"), MISFITS, ids=range(len(MISFITS)))
def test_a_model_that_does_not_fit(model, more, match, parse):
    with pytest.raises(PipelineError, match=match):
        join(build(model), parse(WORDPIECE, **more))
