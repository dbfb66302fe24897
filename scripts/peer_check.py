"""Is the PyTorch counterpart the same model and recipe as lingster's? Both go the same way from the same weights.

For each variant of the architecture and recipe, on a made-up corpus that fits one update (so that the order of the
data does not matter) and without dropout: a run of lingster with learning rate 0 gives the weights to start
from; then both train a few updates. Compared: number of parameters, tokens, loss of the start, loss and
gradient norm of every update, loss of the end on validation pairs, and translations of the final model.
"""
import json
import os
import random
import subprocess
import tempfile

import torch

import peer_data
import peer_model
import peer_search
import peer_transformer

UPDATES = 40
# Absolute limits on losses, relative ones on gradient norms: of the first updates, where only the order of f32 sums
# differs, and of later ones, where training has made those differences grow.
EARLY_UPDATES, EARLY_LOSS, EARLY_NORM = 10, 1e-5, 1e-4
LATE_LOSS, LATE_NORM = 5e-3, 5e-2

BASE = {"enc-depth": 2, "dec-depth": 2, "dim": 32, "heads": 4, "ffn-dim": 48, "dropout": 0, "embedding-dropout": 0,
        "attention-dropout": 0, "ffn-dropout": 0, "lr": 0.01, "warmup": "3u", "batch-tokens": 100000,
        "save-every": "1000u", "log-every": "1u", "valid-every": "1000u", "average-last": 1, "threads": 1}
VARIANTS = {
    "post-norm, all tied, positions b": {"max-length": 64},
    "post-norm, target tied, positions c, swish, smoothing of others, clipped":
        {"tied": "target", "positions": "c", "activation": "swish", "label-smoothing-kind": "others",
         "clip-norm": 0.1, "output-bias": "false"},
    "post-norm, nothing tied, positions a, gelu, two batches an update":
        {"tied": "none", "positions": "a", "activation": "gelu", "batch-sentences": 40, "accumulate": 2,
         "clip-norm": 0},
    "pre-norm, target tied, deeper encoder, AdamW":
        {"norm-position": "pre", "tied": "target", "enc-depth": 3, "dec-ffn-dim": 64, "optimizer": "adamw",
         "weight-decay": 0.1, "warmup-start-lr": 0.001, "schedule": "constant"},
    "pre-norm, SentencePiece, root mean square, gelu-tanh, learned positions":
        {"norm-position": "pre", "norm": "rms", "activation": "gelu-tanh", "positions": "learned",
         "tokenizer": "sentencepiece", "embedding-scale": "false"},
}


def make_corpus(folder):
    """Numbers in one spelling and in another, some of them unknown words to a small vocabulary."""
    rng = random.Random(5)
    words = "zero one two three four five six seven eight nine".split()
    for name, count in (("train", 80), ("valid", 30)):
        with open(f"{folder}/{name}.s", "w") as source, open(f"{folder}/{name}.t", "w") as target:
            for _ in range(count):
                digits = [rng.randrange(10) for _ in range(rng.randrange(1, 12))]
                source.write(" ".join(words[d] for d in digits) + "\n")
                target.write(" ".join(words[d][::-1] for d in reversed(digits)) + "\n")


def run_lingster(lingster, *arguments):
    made = subprocess.run([lingster, *arguments], capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"{lingster} {' '.join(arguments)}\n{made.stderr}")


def make_vocabularies(lingster, folder):
    def make(name, sides, *options):
        inputs = [f"--input={folder}/train.{side}" for side in sides]
        run_lingster(lingster, "vocab", *inputs, f"--output={folder}/{name}", *options)
    symbols = "--model-type=symbols"
    make("both.json", "st", symbols, "--vocab-size=20")
    make("s.json", "s", symbols, "--vocab-size=12")  # too small for all words
    make("t.json", "t", symbols)
    make("both.spm", "st", "--vocab-size=60", "--hard-vocab-limit=false")


def arguments_of(folder, variant):
    o = {"tokenizer": "symbols", **BASE, **variant}
    arguments = [f"--{name}={value}" for name, value in o.items()]
    if o["tokenizer"] == "sentencepiece":
        arguments.append(f"--vocab={folder}/both.spm")
    elif o.get("tied", "all") == "all":
        arguments.append(f"--vocab={folder}/both.json")
    else:
        arguments += [f"--source-vocab={folder}/s.json", f"--target-vocab={folder}/t.json"]
    return arguments + [f"--{part}-{side}={folder}/{part}.{side[0]}"
                        for part in ("train", "valid") for side in ("source", "target")]


def train_lingster(lingster, run, arguments):
    """Events of the run."""
    run_lingster(lingster, "train", *arguments, f"--output={run}", "--overwrite")
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def events_named(events, name):
    return [event for event in events if event["event"] == name]


class Findings:
    def __init__(self):
        self.bad = []
        self.most = {"early": 0.0, "late": 0.0}  # difference of losses

    def expect(self, fine, what):
        if not fine:
            self.bad.append(what)

    def loss(self, what, update, ours, theirs):
        when = "early" if update <= EARLY_UPDATES else "late"
        difference, limit = abs(ours - theirs), EARLY_LOSS if when == "early" else LATE_LOSS
        self.most[when] = max(self.most[when], difference)
        self.expect(difference <= limit, f"{what} {update}: lingster {ours:.6f}, PyTorch {theirs:.6f}")

    def norm(self, update, ours, theirs):
        limit = EARLY_NORM if update <= EARLY_UPDATES else LATE_NORM
        self.expect(abs(ours - theirs) <= limit * ours,
                    f"gradient norm of update {update}: lingster {ours:.6f}, PyTorch {theirs:.6f}")


def compare_updates(found, trainer, trained):
    for event in events_named(trained, "train"):
        loss, norm, _ = trainer.update()
        at = f"update {event['update']}"
        found.loss("loss of update", event["update"], event["loss"], loss)
        if trainer.o["clip-norm"] > 0:
            found.norm(event["update"], event["gradient_norm"], norm)
        found.expect(event["targets"] == trainer.targets and event["sources"] == trainer.sources,
                     f"tokens up to {at}: lingster {event['sources']} and {event['targets']}, PyTorch "
                     f"{trainer.sources} and {trainer.targets}")
        rate = peer_transformer.learning_rate(trainer.o, trainer.updates)
        found.expect(abs(event["lr"] - rate) <= 1e-6 * rate, f"learning rate of {at}")


def compare_translations(found, lingster, folder, trainer):
    """Skipped where the program cannot translate."""
    if "translate" not in subprocess.run([lingster, "--help"], capture_output=True, text=True).stdout:
        return "no `lingster translate` to compare with"
    run_lingster(lingster, "translate", f"--model={folder}/run/model", f"--input={folder}/valid.s",
                 f"--output={folder}/out")
    ours = peer_data.read_lines(f"{folder}/out")
    theirs = peer_search.translate(trainer.model, trainer.vocabularies, peer_data.read_lines(f"{folder}/valid.s"))
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    found.expect(same >= 0.9 * len(ours), f"only {same} of {len(ours)} translations are the same")
    return f"{same} of {len(ours)} translations the same"


def check(lingster, folder, name, variant):
    arguments = arguments_of(folder, variant)
    still = [*arguments, "--max-updates=1", "--lr=0", "--warmup-start-lr=0"]
    start = train_lingster(lingster, f"{folder}/start", still)
    trained = train_lingster(lingster, f"{folder}/run", [*arguments, f"--max-updates={UPDATES}"])
    o = peer_data.resolve_options(lingster, arguments)
    found = Findings()
    trainer = peer_transformer.Trainer(o, load=f"{folder}/start/model")
    left = peer_model.load_model_directory(trainer.model, f"{folder}/start/model")
    # Only what transformers wants beside the parameters: a zero bias, position tables.
    found.expect(all("embed_positions" in n or n == "final_logits_bias" for n in left), f"not taken: {left}")
    trainer.open_data()
    found.loss("validation loss before update", 1, events_named(start, "valid")[0]["loss"], trainer.validate())
    compare_updates(found, trainer, trained)
    found.loss("validation loss after update", UPDATES, events_named(trained, "valid")[0]["loss"], trainer.validate())
    peer_model.load_model_directory(trainer.model, f"{folder}/run/model")
    translations = compare_translations(found, lingster, folder, trainer)
    print(f"{'FAILED' if found.bad else 'ok'}: {name}: {peer_model.count_parameters(trainer.model)} parameters, "
          f"losses differ by at most {found.most['early']:.1e} (later {found.most['late']:.1e}), {translations}",
          *found.bad, sep="\n    ", flush=True)
    return not found.bad


def check_all(lingster):
    torch.set_num_threads(1)
    peer_transformer.report = lambda event, **values: None
    with tempfile.TemporaryDirectory(prefix="peer-check.") as folder:
        make_corpus(folder)
        make_vocabularies(lingster, folder)
        return all([check(lingster, folder, name, variant) for name, variant in VARIANTS.items()])
