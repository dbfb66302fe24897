#!/usr/bin/env python3
"""Compares `lingster eval` with sacreBLEU on random texts: every metric, tokenization and option that both have, one to
three references, whole corpora and single lines, intervals and paired tests.

  check-sacrebleu.py --lingster build/lingster [--cases N] [--seed N]

Scores must agree to 1e-9, approximate randomization in its p-value to the last digit. Bootstrap p-values may differ by
3 resamples, and means and widths by 1e-3: the resamples are the same, but sacreBLEU sums them in float32.
Needs sacrebleu 2.6 from PyPI. Exit status: 0 all agree (the last line says how many), 1 not.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

WORDS = ("the a cat sat on mat . , ! ? größer für Haus ist 日本語 です カタカナ ひらがな テスト。 3.5 1,000 U.S. don't it's he's "
         "&quot;x&quot; &amp;lt; &apos; well-known 3-4 -- ... (hi) $5 a_b x/y é e\u0301 ٣.٥ 😀 <skipped> ;-) 50% 'quoted' "
         "İstanbul ΟΔΟΣ ΣΑΣ. Σ ǅ STRASSE ẞ «ja» “no” – € 中文，测试。 ㍿ ﾊﾝｶｸ ！？ 〇 ⅷ ½ ² ∑ ₂ § ° 1st 2,5. .5 -7 a. #tag @x").split(" ")
SPACES = [" "] * 30 + ["  ", "\t", "\u00a0", "\u3000", "\u2028", "\x1f", "\x0b", "\x85", "\u200b", "\r"]
TOKENIZERS = ("13a", "none", "char", "zh", "intl")


def join(rng, words):
    return "".join(word + rng.choice(SPACES) for word in words)[: None if rng.random() < 0.2 else -1]


def changed(rng, words):
    """A translation of sorts: words replaced, left out, put in, and blocks moved."""
    words = list(words)
    for _ in range(rng.randint(0, 1 + len(words) // 3)):
        kind, at = rng.randrange(4), rng.randrange(len(words) + 1)
        if kind == 0 and at < len(words):
            words[at] = rng.choice(WORDS)
        elif kind == 1 and at < len(words):
            del words[at]
        elif kind == 2:
            words.insert(at, rng.choice(WORDS))
        else:
            size, to = rng.randint(1, 12), rng.randrange(len(words) + 1)
            block, rest = words[at:at + size], words[:at] + words[at + size:]
            words = rest[:to] + block + rest[to:]
    return words


def corpus(rng):
    """Hypotheses of two systems, and references: [reference][segment]."""
    segments, count = rng.choice((1, 2, 4, 8)), rng.randint(1, 3)
    systems, references = ([], []), [[] for _ in range(count)]
    for _ in range(segments):
        vocabulary = rng.sample(WORDS, rng.choice((3, 8, 30)))
        length = rng.choice((0, 1, 3, 6, 10, 20)) if rng.random() < 0.98 else 60  # sacreBLEU's TER takes seconds for it
        words = [rng.choice(vocabulary) for _ in range(length)]
        if rng.random() < 0.02:  # lengths that have little to do with each other
            other = [rng.choice(vocabulary) for _ in range(rng.choice((1, 2, 120)))]
        else:
            other = words
        for system in systems:
            system.append(join(rng, changed(rng, words)).rstrip())
        for reference in references:
            reference.append(join(rng, changed(rng, other)).rstrip())
    return systems, references


def flag(rng):
    return rng.random() < 0.3


def options(rng):
    """Random options: lingster's command line, and sacreBLEU's metrics by lingster's names."""
    bleu = {"tokenize": rng.choice(TOKENIZERS), "smooth_method": rng.choice(("exp", "exp", "none", "floor", "add-k")),
            "lowercase": flag(rng), "effective_order": flag(rng)}
    if bleu["smooth_method"] in ("floor", "add-k") and flag(rng):
        bleu["smooth_value"] = rng.choice((0.01, 0.5, 2.0))
    chrf = {"char_order": rng.choice((6, 6, 1, 4, 9)), "word_order": rng.choice((0, 0, 1, 3)), "beta": rng.choice((2, 2, 1, 3)),
            "lowercase": flag(rng), "whitespace": flag(rng), "eps_smoothing": flag(rng)}
    ter = {name: flag(rng) for name in ("normalized", "no_punct", "asian_support", "case_sensitive")}
    arguments = ["--metrics=bleu,chrf,chrf++,ter"]
    for prefix, given in (("", bleu), ("chrf-", chrf), ("ter-", ter)):
        for name, value in given.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments.append(f"--{prefix}{name.replace('_', '-')}={text}")
    return arguments, {"bleu": BLEU(**bleu), "chrf": CHRF(**chrf), "chrf++": CHRF(**{**chrf, "word_order": 2}),
                       "ter": TER(**ter)}


def write(folder, name, lines):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
    return path


def evaluate(args, folder, systems, references, arguments):
    command = [args.lingster, "eval", "--json"]
    for i, system in enumerate(systems):
        command += ["--hypothesis", write(folder, f"system{i}", system)]
    for i, reference in enumerate(references):
        command += ["--reference", write(folder, f"reference{i}", reference)]
    done = subprocess.run(command + arguments, capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command + arguments}: exit status {done.returncode}: {done.stderr}")
    return [json.loads(text) for text in done.stdout.splitlines()] if "--sentence-level" in arguments \
        else json.loads(done.stdout)


def near(what, ours, theirs, limit=1e-9):
    if abs(ours - theirs) > limit:
        raise SystemExit(f"{what}: lingster {ours!r}, sacreBLEU {theirs!r}")


def check_corpus(args, folder, rng, what):
    systems, references = corpus(rng)
    arguments, metrics = options(rng)
    what = f"{what}: {arguments}"
    ours = evaluate(args, folder, systems[:1], references, arguments)
    for name, metric in metrics.items():
        theirs = metric.corpus_score(systems[0], references)
        near(f"{what}: {name}", ours[name]["score"], theirs.score)
        if ours[name]["name"] != theirs.name:
            raise SystemExit(f"{what}: '{ours[name]['name']}', sacreBLEU '{theirs.name}'")
        signature = str(metric.get_signature())
        if not ours[name]["signature"].startswith(signature + "-compatible:lingster-"):
            raise SystemExit(f"{what}: '{ours[name]['signature']}', sacreBLEU '{signature}'")
        if name == "bleu":
            for n, precision in enumerate(theirs.precisions):
                near(f"{what}: precision {n + 1}", ours[name]["precisions"][n], precision)
            near(f"{what}: BP", ours[name]["brevity_penalty"], theirs.bp)
            near(f"{what}: hyp_len", ours[name]["hypothesis_length"], theirs.sys_len)
            near(f"{what}: ref_len", ours[name]["reference_length"], theirs.ref_len)
    metrics["bleu"].effective_order = True
    for i, line in enumerate(evaluate(args, folder, systems[:1], references, arguments + ["--sentence-level"])[:2]):
        for name, metric in metrics.items():
            theirs = metric.sentence_score(systems[0][i], [reference[i] for reference in references]).score
            near(f"{what}: line {i + 1}: {name}", line[name], theirs)


def check_tests(args, folder, rng, what):
    """Intervals and paired tests, of two corpora joined from random ones."""
    systems, references = ([], []), [[]]
    while len(systems[0]) < 15:
        more, their_references = corpus(rng)
        for system, lines in zip(systems, more):
            system += lines
        references[0] += their_references[0]
    named = [("a", systems[0]), ("b", systems[1])]
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    arguments = ["--metrics=bleu,chrf,ter"]
    for test, trials in (("bs", 300), ("ar", 300)):
        ours = evaluate(args, folder, systems, references, arguments + [f"--paired={test}", f"--resamples={trials}"])
        signatures, theirs = PairedTest(named, metrics, references, test_type=test, n_samples=trials)()
        for name, key in (("bleu", "BLEU"), ("chrf", "chrF2"), ("ter", "TER")):
            for i, system in enumerate(ours["systems"]):
                result, limit = theirs[key][i], 1e-9 if test == "ar" else 3.1 / (trials + 1)
                near(f"{what}: {test}: {name}", system[name]["score"], result.score)
                if not system[name]["signature"].startswith(f"{signatures[key]}-compatible"):
                    raise SystemExit(f"{what}: '{system[name]['signature']}', sacreBLEU '{signatures[key]}'")
                if i > 0:
                    near(f"{what}: {test}: p of {name}", system[name]["p_value"], result.p_value, limit)
                if test == "bs":
                    near(f"{what}: mean {name}", system[name]["confidence_mean"], float(result.mean), 1e-3)
                    near(f"{what}: width {name}", system[name]["confidence_half_width"], float(result.ci), 1e-3)
    ours = evaluate(args, folder, systems[:1], references, arguments + ["--confidence", "--resamples=200", "--seed=12345"])
    for name, metric in metrics.items():
        theirs = metric.corpus_score(systems[0], references, n_bootstrap=200)
        near(f"{what}: confidence: {name}", ours[name]["confidence_mean"], float(theirs._mean), 1e-3)
        near(f"{what}: confidence: {name}", ours[name]["confidence_half_width"], float(theirs._ci), 1e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lingster", required=True, metavar="PROGRAM")
    parser.add_argument("--cases", type=int, default=100, metavar="N", help="corpora; one in 20 also for the tests (100)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--verbose", action="store_true", help="name each case")
    args = parser.parse_args()
    os.environ.pop("SACREBLEU_SEED", None)
    with tempfile.TemporaryDirectory() as folder:
        for case in range(args.cases):
            rng = random.Random(args.seed * 1000003 + case)
            check_corpus(args, folder, rng, f"seed {args.seed} case {case}")
            if case % 20 == 19:
                check_tests(args, folder, rng, f"seed {args.seed} case {case}")
            if args.verbose:
                print(f"case {case}", file=sys.stderr, flush=True)
    print(f"ok: {args.cases} corpora", file=sys.stderr)


if __name__ == "__main__":
    main()
