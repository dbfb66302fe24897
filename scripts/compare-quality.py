#!/usr/bin/env python3
"""Trains lingster and a PyTorch implementation of the same model on the same data for the same number of updates, and
compares what they learned: sacreBLEU and loss on validation pairs.

Both take the mean of the last --average-last checkpoints of the configuration (the last one where it is 0). Texts are
translated with beam 4: lingster by itself, PyTorch by its own search of the same rules. So that training and
search can be told apart, PyTorch's search also translates with the weights that lingster trained.

  compare-quality.py --work DIR --config configs/demo.yml --train-source train.en --train-target train.de \\
      --valid-source valid.en --valid-target valid.de [--updates N] [--json FILE] [option of lingster train ...]

What was finished in --work is kept when this is started again. PyTorch runs under --python, which also needs
sacrebleu. Exit status: 0 compared, 1 something failed, or lingster is worse by more than --limit.
"""
import argparse
import json
import os
import shlex
import sys

sys.dont_write_bytecode = True

import peer_data  # noqa: E402
import peer_runs  # noqa: E402
from peer_runs import say  # noqa: E402

BLEU = """import sys, sacrebleu
read = lambda path: open(path, encoding="utf-8", newline="\\n").read().rstrip("\\n").split("\\n")
metric = sacrebleu.metrics.BLEU()
print(metric.corpus_score(read(sys.argv[1]), [read(sys.argv[2])]).score, metric.get_signature())
"""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    peer_runs.add_program_arguments(parser)
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration of lingster train")
    for part in ("train", "valid"):
        for side in ("source", "target"):
            parser.add_argument(f"--{part}-{side}", required=True, metavar="FILE")
    parser.add_argument("--vocab-size", type=int, default=0, metavar="N", help="default 8000 pieces, or 20000 symbols")
    parser.add_argument("--updates", type=int, metavar="N", help="default: --max-updates of the configuration")
    parser.add_argument("--lingster-dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--peer-dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--compile", action="store_true", help="PyTorch compiled instead of eager")
    parser.add_argument("--limit", type=float, metavar="X", help="fail when lingster's BLEU is lower by more")
    parser.add_argument("--json", metavar="FILE", help="write the result here as well")
    parser.add_argument("--dry-run", action="store_true", help="print the training commands and run nothing")
    args, args.others = parser.parse_known_args()
    args.work = os.path.abspath(args.work)
    return args


def fit_options(args, case):
    """What both are given beside the configuration, so that they stop and save at the same updates."""
    o = peer_data.resolve_options(args.lingster, [*case.arguments(), *args.others])
    updates = args.updates or o["max-updates"]
    if updates < 1:
        raise SystemExit("the configuration has no --max-updates; give --updates")
    # In a shortened run the checkpoints of the mean come as early as the run is shorter.
    every = int(str(o["save-every"]).rstrip("u")) if str(o["save-every"])[-1:] in "u0123456789" else 500
    if o["max-updates"] > updates:
        every = max(1, every * updates // o["max-updates"])
    return {"max-updates": updates, "save-every": f"{every}u", "valid-every": f"{updates}u",
            "average-last": max(1, o["average-last"]), "early-stopping-metrics": "loss", "early-stopping-patience": 0}


def with_others(command, args):
    return [*command, *args.others]


def lingster_training(args, case, shared):
    run = os.path.join(args.work, "lingster.run")
    command = peer_runs.lingster_command(args, case, run, {**shared, "dtype": args.lingster_dtype})
    return run, with_others(command, args)


def peer_training(args, case, shared):
    own = [f"--output={args.work}/pytorch.pt", f"--translate={args.valid_source}",
           f"--translations={args.work}/pytorch.out", *(["--compile"] if args.compile else [])]
    return with_others(peer_runs.peer_command(args, case, {**shared, "dtype": args.peer_dtype}, own), args)


def run_once(args, name, command):
    """Standard output of the command, kept in --work with the command, so that nothing is trained twice."""
    path, record = os.path.join(args.work, f"{name}.log"), shlex.join(command) + "\n"
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            if file.readline() == record:
                say(f"{name}: already there")
                return file.read()
    say(f"{name}: running")
    environment = peer_runs.peer_environment(args) if command[0] == args.python else None
    output = peer_runs.run_checked(command, env=environment)
    with open(path, "w", encoding="utf-8") as file:
        file.write(record + output)
    return output


def last_event(output, name):
    events = [json.loads(line) for line in output.split("\n") if line.startswith("{")]
    return [event for event in events if event["event"] == name][-1]


def bleu(args, hypothesis):
    output = peer_runs.run_checked([args.python, "-c", BLEU, hypothesis, args.valid_target])
    score, _, signature = output.strip().partition(" ")
    return float(score), signature


def compare(args, case, shared):
    run, training = lingster_training(args, case, shared)
    run_once(args, "lingster.train", training)
    peer_output = run_once(args, "pytorch.train", peer_training(args, case, shared))
    ours = f"{args.work}/lingster.out"
    run_once(args, "lingster.translate", [
        args.lingster, "translate", "--quiet", f"--model={run}/model", f"--input={args.valid_source}",
        f"--output={ours}", "--beam-size=4", f"--threads={args.threads}"])
    crossed = f"{args.work}/crossed.out"
    crossed_output = run_once(args, "crossed.translate", with_others(peer_runs.peer_command(
        args, case, {"max-updates": 0, "average-last": 1},
        [f"--load={run}/model", f"--translate={args.valid_source}", f"--translations={crossed}"]), args))
    score, signature = bleu(args, ours)
    end = [event for event in peer_runs.read_events(run) if event["event"] == "end"][-1]
    peer_end = last_event(peer_output, "end")
    return {
        "updates": shared["max-updates"], "average_last": shared["average-last"], "signature": signature,
        "lingster": {"bleu": score, "bleu_pytorch_search": bleu(args, crossed)[0],
                     "valid_loss": last_event(crossed_output, "valid")["loss"], "dtype": args.lingster_dtype,
                     "targets": end["targets"], "targets_per_second": end["targets_per_second"]},
        "pytorch": {"bleu": bleu(args, f"{args.work}/pytorch.out")[0],
                    "valid_loss": last_event(peer_output, "valid")["loss"], "dtype": args.peer_dtype,
                    "targets": peer_end["targets"], "targets_per_second": peer_end["targets_per_second"]},
    }


def show(result):
    ours, theirs = result["lingster"], result["pytorch"]
    print(f"after {result['updates']} updates, mean of the last {result['average_last']} checkpoints; "
          f"{result['signature']}")
    print("              BLEU   valid loss   target tokens seen")
    for name, one in (("lingster", ours), ("PyTorch", theirs)):
        print(f"{name:<12}{one['bleu']:>6.2f}{one['valid_loss']:>13.4f}{one['targets']:>21}")
    bleu_more, loss_more = (ours[name] - theirs[name] for name in ("bleu", "valid_loss"))
    print(f"{'difference':<12}{bleu_more:>+6.2f}{loss_more:>+13.4f}")
    print(f"lingster's weights in PyTorch's search: BLEU {ours['bleu_pytorch_search']:.2f}")


def main():
    args = parse_arguments()
    case = peer_runs.Case("quality", args.config, args.train_source, args.train_target,
                          (args.valid_source, args.valid_target))
    commands = [command for _, command in case.vocabulary_commands(args, args.vocab_size)]
    if args.dry_run:
        shared = {"max-updates": args.updates or "..."}
        commands += [lingster_training(args, case, shared)[1], peer_training(args, case, shared)]
        print(*(shlex.join(command) for command in commands), sep="\n")
        return
    os.makedirs(args.work, exist_ok=True)
    case.vocabulary = []
    case.make_vocabulary(args, args.vocab_size)
    result = compare(args, case, fit_options(args, case))
    result["machine"] = peer_runs.describe_machine(args)
    show(result)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
    if args.limit is not None and result["lingster"]["bleu"] < result["pytorch"]["bleu"] - args.limit:
        raise SystemExit(f"lingster is worse by more than {args.limit} BLEU")


if __name__ == "__main__":
    main()
