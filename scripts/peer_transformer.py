#!/usr/bin/env python3
"""Trains the model of a lingster configuration in PyTorch: same options, data, vocabulary and recipe.

usage: peer_transformer.py [OPTION...] CONFIG.yml [option of lingster train ...]

All options of `lingster train` work, since the program itself is asked what they mean; those that decide here are
the model's, the data's, the optimiser's, --max-updates, --save-every with --average-last, --log-every, --dtype,
--threads and --seed. Batches are padded; their padded size stays within --batch-tokens. One JSON object a line
goes to standard output. Rates count target tokens, the end token included and padding not.

  --lingster BIN          the program (default $LINGSTER or lingster)
  --compile               torch.compile(dynamic=True) instead of eager
  --load DIR              start from a model directory that lingster wrote
  --rounds                train on command: each line "N" on standard input makes N updates
  --targets-per-batch X   change the token budget so that batches hold X target tokens on average
  --output FILE           the model at the end (state_dict), mean of the last --average-last saves
  --translate FILE        at the end translate FILE ...
  --translations FILE     ... into FILE (both may be repeated)
  --beam-size K           with this beam (default 4)
  --self-check            compare this file with the program on made-up data, and stop

Needs torch and numpy, and sentencepiece unless the text is symbols.
"""
import argparse
import json
import math
import os
import sys
import time

sys.dont_write_bytecode = True

try:
    import torch
except ImportError:
    raise SystemExit(f"{sys.executable} has no torch; set --python or LNG_PEER_PYTHON to one that has") from None

import peer_data  # noqa: E402
import peer_model  # noqa: E402
import peer_search  # noqa: E402


def report(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)


def quantity(text):
    """12u -> 12. Epochs and tokens have no counterpart here."""
    if str(text)[-1:] not in "u0123456789":
        raise SystemExit(f"{text}: only a number of updates is understood here")
    return int(str(text).rstrip("u"))


def learning_rate(o, update):
    """Of update 1, 2, ..."""
    warmup, peak = quantity(o["warmup"]), o["lr"]
    if update < warmup:
        return o["warmup-start-lr"] + (peak - o["warmup-start-lr"]) * update / warmup
    if o["schedule"] == "inverse-sqrt":
        rate = peak * math.sqrt(warmup / update) if warmup > 0 else peak
    elif o["schedule"] == "constant":
        rate = peak
    else:
        end = quantity(o["decay-until"]) or o["max-updates"]
        part = min(1.0, max(0.0, (update - 1 - warmup) / max(1, end - warmup)))
        if o["schedule"] == "linear":
            rate = peak + (o["min-lr"] - peak) * part
        else:
            rate = o["min-lr"] + (peak - o["min-lr"]) * 0.5 * (1 + math.cos(math.pi * part))
    return max(rate, o["min-lr"])


def tensors_of(batch, model):
    """Padded (source, target shifted right, target to predict) of [(source ids, target ids)]."""
    sources, targets = zip(*batch)
    shifted = [[model.pad, *row[:-1]] for row in targets]
    return (peer_search.pad_rows(list(sources), model.source_pad), peer_search.pad_rows(shifted, model.pad),
            peer_search.pad_rows(list(targets), peer_model.IGNORED))


def make_optimizer(o, model):
    """Fused Adam. Weight decay, if any, is AdamW's and on matrices only."""
    decay = o["weight-decay"] if o["optimizer"] == "adamw" else 0.0
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["adam-epsilon"], fused=True)


def graph_count():
    """Graphs that torch.compile has made so far."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"] if "torch._dynamo" in sys.modules else 0


class Trainer:
    def __init__(self, o, load=None, compiled=False):
        self.o = o
        torch.manual_seed(o["seed"])
        self.vocabularies = peer_data.open_vocabularies(o)
        self.model = peer_model.Transformer(o, *self.vocabularies)
        if load:
            peer_model.load_model_directory(self.model, load)
        self.forward = torch.compile(self.model, dynamic=True) if compiled else self.model
        self.optimizer = make_optimizer(o, self.model)
        self.batches = None
        self.updates = self.targets = self.sources = 0
        self.seconds = 0.0
        self.saved = []  # the last --average-last states
        self.saved_update = -1
        # Timed as lingster's is; translations are made by the plain weights.
        self.ema = [p.detach().clone() for p in self.model.parameters()] if self.o["ema"] > 0 else []

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.o["dtype"] == "bf16")

    def open_data(self, targets_per_batch=0):
        started = time.monotonic()
        pairs = peer_data.training_pairs(self.o, self.vocabularies)
        self.batches = peer_data.Batches(pairs, self.o)
        if targets_per_batch > 0:
            self.batches.fit_budget(targets_per_batch)
        report("data", pairs=len(pairs), seconds=time.monotonic() - started, batch_tokens=self.batches.tokens)

    def update(self):
        """Returns loss a token, gradient norm (NaN without clipping) and target tokens."""
        started = time.monotonic()
        o, model = self.o, self.model
        batches = [self.batches.next() for _ in range(o["accumulate"])]
        count = sum(len(target) for batch in batches for _, target in batch)
        model.train()
        total = 0.0
        for batch in batches:
            with self.autocast():
                loss = self.forward(*tensors_of(batch, model)) / count
            loss.backward()
            total += loss.item()
        model.clear_pad_gradient()
        norm = math.nan
        if o["clip-norm"] > 0:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), o["clip-norm"]).item()
        self.updates += 1
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(o, self.updates)
        self.optimizer.step()
        if self.ema:
            with torch.no_grad():
                torch._foreach_lerp_(self.ema, list(self.model.parameters()), self.o["ema"])
        self.optimizer.zero_grad(set_to_none=True)
        self.targets += count
        self.sources += sum(len(source) for batch in batches for source, _ in batch)
        self.seconds += time.monotonic() - started
        return total, norm, count

    def run(self, updates):
        """Reports every --log-every updates. Returns a summary of this round."""
        every, save_every = quantity(self.o["log-every"]), quantity(self.o["save-every"])
        start, part, losses, graphs = (self.targets, self.seconds), (self.targets, self.seconds), [], graph_count()
        for _ in range(updates):
            loss, norm, _ = self.update()
            losses.append(loss)
            if self.updates % every == 0:
                rate = (self.targets - part[0]) / (self.seconds - part[1])
                report("train", update=self.updates, epoch=self.batches.epochs, loss=loss, gradient_norm=norm,
                       lr=learning_rate(self.o, self.updates), targets=self.targets, sources=self.sources,
                       seconds=self.seconds, targets_per_second=rate)
                part = (self.targets, self.seconds)
            if self.updates % save_every == 0:
                self.save()
        targets, seconds = self.targets - start[0], self.seconds - start[1]
        return {"updates": updates, "targets": targets, "seconds": seconds, "mean_loss": sum(losses) / updates,
                "targets_per_second": targets / seconds,
                "graphs": graph_count() - graphs}

    def save(self):
        """As lingster's checkpoints that the final model is the mean of."""
        if self.updates != self.saved_update:
            self.saved.append({name: p.detach().clone() for name, p in self.model.state_dict().items()})
            self.saved = self.saved[-max(1, self.o["average-last"]):]
            self.saved_update = self.updates

    def average(self):
        self.save()
        mean = {name: sum(state[name] for state in self.saved) / len(self.saved) for name in self.saved[0]}
        self.model.load_state_dict(mean)

    @torch.no_grad()
    def validate(self):
        """-log p a target token of the validation pairs, all of them."""
        o = self.o
        pairs = peer_data.read_pairs(o, self.vocabularies, o["valid-source"], o["valid-target"])
        self.model.eval()
        total = 0.0
        for batch in peer_data.in_order(pairs, o["batch-tokens"]):
            total += self.model(*tensors_of(batch, self.model)).item()
        targets = sum(len(target) for _, target in pairs)
        report("valid", update=self.updates, loss=total / targets, targets=targets, pairs=len(pairs))
        return total / targets


def run_on_command(trainer):
    for line in sys.stdin:
        if line.strip():
            report("round", **trainer.run(int(line)))


def translate_files(trainer, sources, outputs, beam):
    for source, output in zip(sources, outputs, strict=True):
        started = time.monotonic()
        lines = peer_search.translate(trainer.model, trainer.vocabularies, peer_data.read_lines(source), beam)
        with open(output, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        report("translated", source=source, output=output, lines=len(lines), beam=beam,
               seconds=time.monotonic() - started)


def parse_arguments():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--lingster", default=os.environ.get("LINGSTER", "lingster"))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--load")
    parser.add_argument("--rounds", action="store_true")
    parser.add_argument("--targets-per-batch", type=float, default=0)
    parser.add_argument("--output")
    parser.add_argument("--translate", action="append", default=[])
    parser.add_argument("--translations", action="append", default=[])
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--self-check", action="store_true")
    own, rest = parser.parse_known_args()
    if own.help:
        print(__doc__)
        sys.exit(0)
    if len(own.translate) != len(own.translations):
        raise SystemExit("as many --translations as --translate are needed")
    return own, rest


def main():
    own, rest = parse_arguments()
    if own.self_check:
        import peer_check
        sys.exit(0 if peer_check.check_all(own.lingster) else 1)
    o = peer_data.resolve_options(own.lingster, rest)
    torch.set_num_threads(o["threads"] or os.cpu_count())
    torch.set_flush_denormal(True)
    trainer = Trainer(o, own.load, own.compile)
    report("start", parameters=peer_model.count_parameters(trainer.model), torch=torch.__version__,
           dtype=o["dtype"], compiled=own.compile, threads=torch.get_num_threads(), seed=o["seed"],
           source_vocabulary=len(trainer.vocabularies[0]), target_vocabulary=len(trainer.vocabularies[1]))
    if own.rounds:
        trainer.open_data(own.targets_per_batch)
        run_on_command(trainer)
    elif o["max-updates"] > 0:
        trainer.open_data(own.targets_per_batch)
        report("end", **trainer.run(o["max-updates"]))
        trainer.average()
    if own.output:
        torch.save(trainer.model.state_dict(), own.output)
    if o.get("valid-source") and not own.rounds:
        trainer.validate()
    translate_files(trainer, own.translate, own.translations, own.beam_size)


if __name__ == "__main__":
    main()
