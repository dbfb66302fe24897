#!/usr/bin/env python3
"""Writes tests/data/metrics_golden.json: random corpora with the scores sacreBLEU gives them.

usage: make-metric-golden.py OUTPUT      (needs sacrebleu 2.6.0 from PyPI)
"""
import json
import random
import sys

import sacrebleu
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

WORDS = ("the a cat sat on mat . , ! größer für Haus ist 日本語 です 3.5 1,000 U.S. don't &quot;x&quot; &amp;lt; "
         "well-known 3-4 -- ... (hi) $5 a_b x/y é e\u0301 ٣.٥ 😀 \u00a0 \u200b <skipped> ;-) 50% 'quoted'").split(" ")
PIECES = list("ab1. ,-'&;<>\"()$%/\u00a0\u3000\u2028éß日😀٣") + ["&quot;", "&amp;", "&lt;", "e.g.", "10-year"]


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
    for tokenize in ("13a", "char", "none"):
        metric = sacrebleu.BLEU(tokenize=tokenize)
        result = metric.corpus_score(hypotheses, references)
        row["bleu"][tokenize] = {"score": result.score, "bp": result.bp, "precisions": result.precisions,
                                 "lengths": [result.sys_len, result.ref_len]}
    for smooth in ("none", "floor", "add-k"):
        row["bleu_" + smooth] = sacrebleu.BLEU(smooth_method=smooth).corpus_score(hypotheses, references).score
    effective = sacrebleu.BLEU(effective_order=True)
    row["sentence_bleu"] = effective.sentence_score(hypotheses[0], [r[0] for r in references]).score
    row["chrf"] = sacrebleu.CHRF().corpus_score(hypotheses, references).score
    row["chrf++"] = sacrebleu.CHRF(word_order=2).corpus_score(hypotheses, references).score
    return row


def main():
    rng = random.Random(20261122)
    tokenizer = Tokenizer13a()
    lines = ["".join(rng.choice(PIECES) for _ in range(rng.randint(0, 24))) for _ in range(200)]
    golden = {
        "made_by": "scripts/make-metric-golden.py with sacrebleu " + sacrebleu.__version__,
        "tokenize_13a": [[line, tokenizer(line.rstrip())] for line in lines],
        "corpora": [score(*corpus(rng)) for _ in range(60)],
    }
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(golden, out, ensure_ascii=True, indent=0, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
