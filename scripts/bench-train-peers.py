#!/usr/bin/env python3
"""Compares the training speed of lingster with that of a PyTorch implementation of the same model.

For every case: each mode of PyTorch (f32 and bf16, eager and compiled) and each type of lingster is tried shortly,
and the best of each goes on. Then both alternate: lingster, PyTorch, lingster, PyTorch, ..., each round W updates to
warm up and M that are timed. Same configuration, data, vocabulary, batch budget, threads. The rate is target tokens a
second, the end token included and padding not. The ratio of a round is that of two neighbours; the median counts.

Each counts the batch budget in its own way: lingster by the tokens of a side, PyTorch by the padded size, as its users
do, so that its batches hold fewer tokens. With --equal-batches it gets a larger budget, for as many target tokens
an update as lingster has.

Checked as well: equal numbers of parameters; the same loss with the same weights; mean losses of the first W updates,
each from its own random weights, within 20%. `others` is the share of the machine that other processes took
meanwhile: rounds above 5% are marked, and are not worth much.

  bench-train-peers.py --work DIR --case g2p,configs/g2p.yml,train.g,train.p \\
      --case multi30k,configs/multi30k-tiny.yml,train.en,train.de \\
      --case demo,configs/demo.yml,train.en,train.de --json report.json --markdown report.md

PyTorch runs under --python. Exit status: 0 measured, 1 something failed, or a check did.
"""
import argparse
import json
import os
import shlex
import statistics
import sys

sys.dont_write_bytecode = True

import peer_data  # noqa: E402
import peer_runs  # noqa: E402
from peer_runs import say  # noqa: E402

START_LIMIT = 0.20  # relative, of first losses from different random weights
SAME_LIMIT = 1e-3  # of losses with the same weights
OTHERS_LIMIT = 0.05


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_runs.add_program_arguments(parser)
    parser.add_argument("--random", action="append", default=[], metavar="NAME,CONFIG,WORDS,BATCH_TOKENS",
                        help="the same with random text of so many different words, which are the vocabulary, sentences as "
                             "long as in news; for the speed of shapes. May be repeated")
    parser.add_argument("--case", action="append", default=[], metavar="NAME,CONFIG,SOURCE,TARGET[,VOCAB_SIZE]",
                        help="configuration and training text; may be repeated. The vocabulary is made in --work: of "
                             "20000 symbols at most or 8000 pieces when no size is given")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of both in turn (default 5)")
    parser.add_argument("--warmup", type=int, default=10, metavar="W", help="updates not timed (default 10)")
    parser.add_argument("--updates", type=int, default=40, metavar="M", help="updates timed (default 40)")
    parser.add_argument("--probe", type=int, default=10, metavar="P",
                        help="updates timed to choose a mode (default 10)")
    parser.add_argument("--dtype", choices=("best", "f32", "bf16"), default="best",
                        help="numbers that both compute in (default: the best of each)")
    parser.add_argument("--peer-mode", choices=("best", "eager", "compiled"), default="best",
                        help="mode of PyTorch (default: the best)")
    parser.add_argument("--equal-batches", action="store_true", help="as many target tokens an update in PyTorch")
    parser.add_argument("--json", metavar="FILE", help="write all numbers here (default: standard output)")
    parser.add_argument("--markdown", metavar="FILE", help="write the table here (default: standard output)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    args = parser.parse_args()
    if min(args.rounds, args.warmup, args.updates, args.probe) < 1:
        parser.error("--rounds, --warmup, --updates and --probe must be 1 at least")
    args.work = os.path.abspath(args.work)
    os.makedirs(args.work, exist_ok=True)
    args.cases = [make_case(parser, text) for text in args.case] + [random_case(parser, args, text) for text in args.random]
    if not args.cases:
        parser.error("give --case or --random")
    return args


def make_case(parser, text):
    fields = text.split(",")
    if not 4 <= len(fields) <= 5 or (len(fields) == 5 and not fields[4].isdigit()):
        parser.error(f"--case {text}: expected NAME,CONFIG,SOURCE,TARGET or NAME,CONFIG,SOURCE,TARGET,VOCAB_SIZE")
    case = peer_runs.Case(*fields[:4])
    case.size = int(fields[4]) if len(fields) == 5 else 0
    return case


def random_case(parser, args, text):
    fields = text.split(",")
    if len(fields) != 4 or not all(field.isdigit() and int(field) > 0 for field in fields[2:]):
        parser.error(f"--random {text}: expected NAME,CONFIG,WORDS,BATCH_TOKENS")
    name, config, words, tokens = fields[0], fields[1], int(fields[2]), int(fields[3])
    os.environ.setdefault("LINGSTER_PRESETS", os.path.dirname(os.path.abspath(config)))
    try:
        case = peer_runs.Case(name, *peer_data.write_random_case(args.work, name, config, words, tokens))
    except OSError as error:
        parser.error(f"--random {text}: {error.filename}: {error.strerror}")
    case.size = words + 3  # and the end, unknown words, padding
    return case


def dtypes(args):
    return ("f32", "bf16") if args.dtype == "best" else (args.dtype,)


def peer_modes(args):
    modes = {"best": (False, True), "eager": (False,), "compiled": (True,)}[args.peer_mode]
    return [(dtype, compiled) for dtype in dtypes(args) for compiled in modes]


def dry_run(args):
    for case in args.cases:
        for _, command in case.vocabulary_commands(args, case.size):
            print(shlex.join(command))
        for dtype in dtypes(args):
            print(shlex.join(peer_runs.lingster_command(
                args, case, os.path.join(args.work, f"{case.name}.run"),
                {"dtype": dtype, "seed": 1, "max-updates": args.warmup + args.updates, "log-every": "1u"})))
        for dtype, compiled in peer_modes(args):
            own = ["--rounds", *(["--compile"] if compiled else [])]
            print(shlex.join(peer_runs.peer_command(args, case, {"dtype": dtype, "seed": 1}, own)))


def choose_peer(args, case, own):
    """The fastest mode, its process still there; rates of all; its first round. own: more options for it."""
    best, best_first, rates = None, None, {}
    for dtype, compiled in peer_modes(args):
        peer = peer_runs.PeerProcess(args, case, dtype, compiled, own)
        first = peer.warm_up(args.warmup)
        rates[peer.name] = peer.run(args.probe)["targets_per_second"]
        say(f"{case.name}: PyTorch {peer.name}: {rates[peer.name]:.0f} target tokens/s")
        if best is None or rates[peer.name] > rates[best.name]:
            best, best_first, peer = peer, first, best
        if peer is not None:
            peer.close()
    return best, rates, best_first


def choose_lingster(args, case):
    """The fastest type, rates of all, target tokens an update."""
    rates = {}
    for dtype in dtypes(args):
        timed = peer_runs.time_lingster(args, case, dtype, args.warmup, args.probe, 1)
        rates[dtype] = timed["targets_per_second"]
        say(f"{case.name}: lingster {dtype}: {rates[dtype]:.0f} target tokens/s")
    return max(rates, key=rates.get), rates, timed["targets"] / timed["updates"]


def check_equal(args, case):
    """Number of parameters, losses with the same weights, and what says that the two are not the same model."""
    ours, theirs = peer_runs.same_weights(args, case)
    found = []
    if ours["parameters"] != theirs["parameters"]:
        found.append(f"lingster has {ours['parameters']} parameters, PyTorch {theirs['parameters']}")
    if abs(ours["loss"] - theirs["loss"]) > SAME_LIMIT:
        found.append(f"loss with the same weights: lingster {ours['loss']:.5f}, PyTorch {theirs['loss']:.5f}")
    return ours["parameters"], {"lingster": ours["loss"], "pytorch": theirs["loss"]}, found


def check_start(args, lingster, pytorch):
    if abs(lingster / pytorch - 1) <= START_LIMIT:
        return []
    return [f"loss of the first {args.warmup} updates: lingster {lingster:.4f}, PyTorch {pytorch:.4f}"]


def bench_case(args, case):
    case.make_vocabulary(args, case.size)
    count, same, found = check_equal(args, case)
    dtype, our_rates, targets = choose_lingster(args, case)
    accumulate = peer_data.resolve_options(args.lingster, case.arguments())["accumulate"]
    own = [f"--targets-per-batch={targets / accumulate}"] if args.equal_batches else []
    peer, peer_rates, first = choose_peer(args, case, own)
    rounds = []
    for number in range(args.rounds):
        ours = peer_runs.time_lingster(args, case, dtype, args.warmup, args.updates, number + 1)
        peer.run(args.warmup)
        theirs = peer.run(args.updates)
        rounds.append({"lingster": ours, "pytorch": theirs,
                       "ratio": ours["targets_per_second"] / theirs["targets_per_second"]})
        say(f"{case.name}: round {number + 1}: lingster {ours['targets_per_second']:.0f}, PyTorch "
            f"{theirs['targets_per_second']:.0f}, ratio {rounds[-1]['ratio']:.2f}, others "
            f"{100 * max(ours['others'], theirs['others']):.0f}%")
    peer.close()
    starts = {"lingster": rounds[0]["lingster"]["warmup_loss"], "pytorch": first["mean_loss"]}
    found += check_start(args, **starts)
    for text in found:
        say(f"{case.name}: CHECK FAILED: {text}")
    return {"case": case.name, "config": case.config, "parameters": count, "lingster_mode": dtype,
            "pytorch_mode": peer.name, "lingster_probe": our_rates, "pytorch_probe": peer_rates, "rounds": rounds,
            "pytorch_batch_tokens": peer.data["batch_tokens"], "summary": summarize(rounds), "failed_checks": found,
            "first_losses": starts, "losses_with_same_weights": same}


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def summarize(rounds):
    rates = {who: spread([one[who]["targets_per_second"] for one in rounds]) for who in ("lingster", "pytorch")}
    disturbed = sum(max(one[who]["others"] for who in ("lingster", "pytorch")) > OTHERS_LIMIT for one in rounds)
    compiled = sum(one["pytorch"]["graphs"] > 0 for one in rounds)
    sizes = {who: sum(one[who]["targets"] for one in rounds) / sum(one[who]["updates"] for one in rounds)
             for who in ("lingster", "pytorch")}
    return {**rates, "targets_per_update": sizes, "ratio": spread([one["ratio"] for one in rounds]),
            "disturbed_rounds": disturbed, "rounds_with_compilation": compiled}


def table(machine, args, results):
    lines = [f"{machine['lingster']} ({machine['commit']}) and PyTorch {machine['torch']}, {machine['cpu']} "
             f"({' '.join(machine['flags'])}), {args.threads} threads, {machine['date']}; {args.rounds} rounds of "
             f"{args.warmup} + {args.updates} updates in turn. Target tokens a second: median (least to most).", "",
             "| case | parameters | targets an update | lingster | PyTorch | ratio | remarks |",
             "|---|---|---|---|---|---|---|"]
    for one in results:
        s = one["summary"]
        cells = [f"{s[who]['median']:.0f} ({s[who]['least']:.0f} to {s[who]['most']:.0f})"
                 for who in ("lingster", "pytorch")]
        remarks = list(one["failed_checks"])
        if s["disturbed_rounds"]:
            remarks.append(f"{s['disturbed_rounds']} of {args.rounds} rounds disturbed by other processes")
        if s["rounds_with_compilation"]:
            remarks.append(f"PyTorch compiled in {s['rounds_with_compilation']} rounds")
        ratio = f"**{s['ratio']['median']:.2f}** ({s['ratio']['least']:.2f} to {s['ratio']['most']:.2f})"
        sizes = s["targets_per_update"]
        lines.append(f"| {one['case']} | {one['parameters'] / 1e6:.2f} M | {sizes['lingster']:.0f}, "
                     f"{sizes['pytorch']:.0f} | {one['lingster_mode']}: {cells[0]} | "
                     f"{one['pytorch_mode']}: {cells[1]} | {ratio} | {'; '.join(remarks)} |")
    return "\n".join(lines) + "\n"


def main():
    args = parse_arguments()
    if args.dry_run:
        dry_run(args)
        return
    os.makedirs(args.work, exist_ok=True)
    machine = peer_runs.describe_machine(args)
    results = [bench_case(args, case) for case in args.cases]
    settings = {name: getattr(args, name) for name in ("rounds", "warmup", "updates", "probe", "dtype", "peer_mode",
                                                     "equal_batches", "threads")}
    peer_runs.write_text(json.dumps({"machine": machine, "settings": settings, "results": results}) + "\n", args.json)
    peer_runs.write_text(table(machine, args, results), args.markdown)
    sys.exit(1 if any(one["failed_checks"] for one in results) else 0)


if __name__ == "__main__":
    main()
