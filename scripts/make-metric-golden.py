#!/usr/bin/env python3
"""Writes tests/data/metrics_golden.json: random corpora with the scores sacreBLEU gives them.

usage: make-metric-golden.py OUTPUT      (needs sacrebleu 2.6.0 from PyPI)
"""
import json
import random
import sys

import numpy
import sacrebleu
from sacrebleu.significance import PairedTest
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

WORDS = ("the a cat sat on mat . , ! größer für Haus ist 日本語 です 3.5 1,000 U.S. don't &quot;x&quot; &amp;lt; "
         "well-known 3-4 -- ... (hi) $5 a_b x/y é e\u0301 ٣.٥ 😀 \u00a0 \u200b <skipped> ;-) 50% 'quoted'").split(" ")
PIECES = list("ab1. ,-'&;<>\"()$%/\u00a0\u3000\u2028éß日😀٣") + ["&quot;", "&amp;", "&lt;", "e.g.", "10-year"]
LOWER = ["", "ABC xyz", "İstanbul", "ΟΔΟΣ ΑΣ. Σ ΣΑ", "ΑΣ\u0301 ΑΣ'", "ẞ ǅ Ⅷ Ω Å", "ÀÉ\u0130\u0307", "Ⓐ 𐐀 Ꭰ Ა"]


def segment(rng, low=0, high=14):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def corpus(rng):
    count, refs = rng.randint(1, 8), rng.randint(1, 3)
    references = [[segment(rng) for _ in range(count)] for _ in range(refs)]
    hypotheses = []
    for i in range(count):
        words = references[rng.randrange(refs)][i].split(" ")
        for _ in range(rng.randint(0, 4)):
            words[rng.randrange(len(words))] = rng.choice(WORDS)
        hypotheses.append(" ".join(words))
    return hypotheses, references


def score(hypotheses, references):
    row = {"hypotheses": hypotheses, "references": references, "bleu": {}}
    for tokenize in ("13a", "char", "none", "zh", "intl"):
        metric = sacrebleu.BLEU(tokenize=tokenize)
        result = metric.corpus_score(hypotheses, references)
        row["bleu"][tokenize] = {"score": result.score, "bp": result.bp, "precisions": result.precisions,
                                 "lengths": [result.sys_len, result.ref_len]}
    for smooth in ("none", "floor", "add-k"):
        row["bleu_" + smooth] = sacrebleu.BLEU(smooth_method=smooth).corpus_score(hypotheses, references).score
    effective = sacrebleu.BLEU(effective_order=True)
    row["sentence_bleu"] = effective.sentence_score(hypotheses[0], [r[0] for r in references]).score
    row["bleu_lowercase"] = sacrebleu.BLEU(lowercase=True).corpus_score(hypotheses, references).score
    row["bleu_floor_2"] = sacrebleu.BLEU(smooth_method="floor", smooth_value=2).corpus_score(hypotheses, references).score
    row["bleu_add-k_0.5"] = sacrebleu.BLEU(smooth_method="add-k", smooth_value=0.5).corpus_score(hypotheses, references).score
    row["chrf"] = sacrebleu.CHRF().corpus_score(hypotheses, references).score
    row["chrf++"] = sacrebleu.CHRF(word_order=2).corpus_score(hypotheses, references).score
    row["chrf_options"] = sacrebleu.CHRF(char_order=4, word_order=1, beta=3, lowercase=True, whitespace=True).corpus_score(
        hypotheses, references).score
    row["chrf_eps"] = sacrebleu.CHRF(eps_smoothing=True).corpus_score(hypotheses, references).score
    # Bits: normalized, no_punct, asian_support, case_sensitive.
    row["ter"] = [sacrebleu.TER(*(bool(bits & 1 << i) for i in range(4))).corpus_score(hypotheses, references).score
                  for bits in range(16)]
    return row


def shifted(rng):
    """Lines whose words come in blocks that changed places, for TER."""
    words = [rng.choice(WORDS[:9]) for _ in range(rng.randint(2, 25))]
    moved = list(words)
    for _ in range(rng.randint(1, 4)):
        at, size, to = rng.randrange(len(moved)), rng.randint(1, 6), rng.randrange(len(moved))
        block, rest = moved[at:at + size], moved[:at] + moved[at + size:]
        moved = rest[:to] + block + rest[to:]
    if rng.random() < 0.3:
        moved = moved[:rng.randint(0, len(moved))] + [rng.choice(WORDS)]
    hypothesis, reference = " ".join(moved), " ".join(words)
    stats = sacrebleu.TER().sentence_score(hypothesis, [reference])
    return [hypothesis, reference, stats.num_edits]


def paired(rng):
    """Two systems, and what the tests say of them."""
    references = [[segment(rng, 4) for _ in range(30)]]
    systems = []
    for changes in (3, 2):
        system = []
        for line in references[0]:
            words = line.split(" ")
            for _ in range(rng.randint(0, changes)):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
            system.append(" ".join(words))
        systems.append(system)
    row = {"systems": systems, "reference": references[0]}
    for test, trials in (("bs", 500), ("ar", 500)):
        metrics = {"bleu": sacrebleu.BLEU(), "chrf": sacrebleu.CHRF(), "ter": sacrebleu.TER()}
        _, results = PairedTest(list(zip("ab", systems)), metrics, references, test_type=test, n_samples=trials)()
        row[test] = [[float(x) for x in (results[key][1].p_value, results[key][1].mean or 0, results[key][1].ci or 0)]
                     for key in ("BLEU", "chrF2", "TER")]
    return row


def main():
    rng = random.Random(20261122)
    tokenizer = Tokenizer13a()
    lines = ["".join(rng.choice(PIECES) for _ in range(rng.randint(0, 24))) for _ in range(200)]
    golden = {
        "made_by": "scripts/make-metric-golden.py with sacrebleu " + sacrebleu.__version__,
        "tokenize_13a": [[line, tokenizer(line.rstrip())] for line in lines],
        "lowercase": [[line, line.lower()] for line in LOWER],
        "corpora": [score(*corpus(rng)) for _ in range(60)],
        "ter_shifts": [shifted(rng) for _ in range(100)],
        "paired": paired(rng),
        "numpy_below": numpy.random.default_rng(12345).integers(0, 3000, size=8).tolist(),
        "numpy_bits": numpy.random.default_rng(12345).integers(2, size=70, dtype=bool).astype(int).tolist(),
    }
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(golden, out, ensure_ascii=True, indent=0, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
