#!/usr/bin/env python3
"""A model that Marian trained and decoded, translated by lingster with --compat marian.

usage: scripts/compare-marian.py LINGSTER MODEL SOURCE [REFERENCE]

MODEL is Marian's folder (model.npz, vocabularies, decoder.yml) with outputs of marian-decoder on SOURCE, each optional:
dev.beam1 (--beam-size 1 --normalize 0), dev.beam6 (--beam-size 6 --normalize 1), dev50.nbest (the first 50 lines, beam 6,
--n-best --word-scores), dev50.soft (the first 50, beam 1, --alignment soft). Exit 1 when one differs: texts at all, scores
by more than 1e-4, alignments by more than 1e-3. REFERENCE counts right outputs, with and without --compat.
"""
import os
import subprocess
import sys
import tempfile


def fields(line):
    return [field.strip() for field in line.rstrip("\n").split("|||")]


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    lingster, folder, source = sys.argv[1:4]
    lines = open(source, encoding="utf-8").read().splitlines()
    failed = False

    def translate(model, count, *options):
        text = "".join(line + "\n" for line in lines[:count])
        return subprocess.run([lingster, "translate", "-q", "-m", model, *options], input=text, text=True, check=True,
                              capture_output=True).stdout.splitlines()

    def expected(name):
        path = os.path.join(folder, name)
        return open(path, encoding="utf-8").read().splitlines() if os.path.exists(path) else None

    def tell(name, text, good):
        nonlocal failed
        failed |= not good
        print(f"{name}: {text}{'' if good else '  <- differs'}")

    with tempfile.TemporaryDirectory() as scratch:
        model = os.path.join(scratch, "model")
        subprocess.run([lingster, "convert", "-q", folder, model], check=True, stderr=subprocess.DEVNULL)
        greedy = ["--compat", "marian", "--beam-size", "1", "--length-penalty-alpha", "0"]
        beam = ["--compat", "marian", "--beam-size", "6", "--length-penalty-alpha", "1"]
        outputs = {"greedy, as trained": translate(model, len(lines), "--beam-size", "1")}
        for name, options in (("dev.beam1", greedy), ("dev.beam6", beam)):
            want = expected(name)
            if want:
                outputs[name] = got = translate(model, len(lines), *options)
                same = sum(a == b for a, b in zip(got, want))
                tell(name, f"{same} of {len(want)} identical", same == len(want))
        want = expected("dev50.nbest")
        if want:
            ours = [fields(line) for line in translate(model, 50, *beam, "--n-best", "6")]
            theirs = [fields(line) for line in want]
            same = sum(a[:2] == b[:2] for a, b in zip(ours, theirs))
            total = max(abs(float(a[2].split()[-1]) - float(b[3].split()[-1])) for a, b in zip(ours, theirs))
            ranking = max(abs(float(a[3]) - float(b[4])) for a, b in zip(ours, theirs))
            tell("dev50.nbest", f"{same} of {len(theirs)} identical, scores to {total:.1e}, normalised to {ranking:.1e}",
                 len(ours) == len(theirs) == same and max(total, ranking) <= 1e-4)
        want = expected("dev50.soft")
        if want:
            worst = 0.0
            for a, b in zip(translate(model, 50, *greedy, "--alignment", "soft"), want):
                a, b = fields(a), fields(b)
                rows = [[[float(w) for w in row.split(",")] for row in x[1].split()] for x in (a, b)]
                fits = a[0] == b[0] and [len(r) for r in rows[0]] == [len(r) for r in rows[1]]
                worst = max([worst if fits else 1.0] + [abs(u - v) for r, s in zip(*rows) for u, v in zip(r, s)])
            tell("dev50.soft", f"weights to {worst:.1e}", worst <= 1e-3)
        if len(sys.argv) == 5:
            right = open(sys.argv[4], encoding="utf-8").read().splitlines()
            for name, got in outputs.items():
                print(f"right, {name}: {sum(a == b for a, b in zip(got, right))} of {len(right)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
