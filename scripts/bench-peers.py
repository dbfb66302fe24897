#!/usr/bin/env python3
"""Compares decoding on a CPU with CTranslate2 and transformers: same weights, same ids, same lengths.

The model is a random transformer-base (--vocab-size 32000, one matrix for source, target and output) that transformers
writes and `lingster convert` makes CTranslate2's of; sentences of --length random tokens, of which every program produces
exactly --length, none of them the end. The work is done in steps, each of which leaves a JSON file in --work and is
skipped where that is there (--again: done again); the tables at the end hold all that were ever done.

  model              weights and sentences
  choose.CASE.ISA    every compute type of CTranslate2 (--mkl: with either library), one worker of all threads and as many
                     workers as threads: which is the fastest at all, and which in float32
  CASE.ISA.WHAT      WHAT is f32 (both in f32), best (ours in int8, the best there is there) or transformers (f32), in
                     turn: theirs, ours, theirs, ours ...; the median of the ratios of neighbours counts
  gate               the trained model of configs/demo: greedy ids of cpu against ref and CTranslate2 in f32, and of bf16
                     and int8 against f32
  start              one sentence, as a whole process: time and peak memory

CASE is beam4-batch32, greedy-batch64, greedy-batch1 or beam4-batch1; ISA native or avx2 (both held to AVX2 by environment
variables, and so are oneDNN and MKL below CTranslate2). `others` is the
share of the machine that other processes took meanwhile.

  bench-peers.py --work DIR --lingster build/lingster --python /path/to/python --json report.json --markdown report.md

With --device cuda it measures on a GPU instead (peer_gpu.py): training of base and big against PyTorch
(nn.Transformer and the same with fused projections, SDPA, fused AdamW, bf16, eager and compiled) and decoding against
transformers (bf16, SDPA) and, where it is there, CTranslate2 (float16, int8); the gate, attention, the largest product,
start-up and memory besides. That takes --budget seconds, the important steps first, and needs Python with torch and
transformers and the folder that `make dist` makes:

  python3 scripts/bench-peers.py --device cuda --work DIR --json report.json --markdown report.md

Exit status: 0 measured, 1 something failed or the gate is shut.
"""
import argparse
import json
import os
import random
import statistics
import sys

sys.dont_write_bytecode = True

import peer_bench  # noqa: E402
import peer_gpu  # noqa: E402
import peer_runs  # noqa: E402
from peer_runs import say  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(os.path.dirname(HERE), "configs", "demo")

# name: workload, beam, sentences of a batch, sentences in all, what must be reached against CTranslate2 (best, f32)
CASES = {
    "beam4-batch32": ("decode", 4, 32, 64, {"best": 2.0, "f32": 1.3}),
    "greedy-batch64": ("decode", 1, 64, 128, {"best": 2.0, "f32": 1.3}),
    "greedy-batch1": ("latency", 1, 1, 16, {"best": 2.0, "f32": 1.3}),
    "beam4-batch1": ("latency", 4, 1, 8, {}),
}
ISAS = {
    "native": ({}, {}),
    "avx2": ({"LNG_CPU_ISA": "avx2"}, {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
                                       "MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
}
OTHERS_LIMIT = 0.10
LIMITS = {"cpu f32 = ref f32": 1.0, "f32 = CTranslate2 float32": 1.0, "bf16 = f32": 0.97, "int8 = f32": 0.95}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_runs.add_program_arguments(parser)
    peer_gpu.add_arguments(parser)
    parser.add_argument("--steps", metavar="LIST", help="only these, and model; separated by commas; CASE stands for all "
                                                        "steps that begin so (default: all)")
    parser.add_argument("--rounds", type=int, metavar="N", help="of both in turn (default 5; on a GPU 3)")
    parser.add_argument("--length", type=int, default=27, metavar="N", help="tokens of a sentence (default 27)")
    parser.add_argument("--ours", default="int8", metavar="DTYPE", help="ours against their best (default int8)")
    parser.add_argument("--ours-options", default="", metavar="TEXT", help="further options of lingster bench")
    for name, value in (("vocab-size", 32000), ("dim", 512), ("ffn-dim", 2048), ("heads", 8), ("layers", 6)):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N")
    parser.add_argument("--mkl", action="store_true", help="try CTranslate2 with MKL too where it would take oneDNN")
    parser.add_argument("--sentences", type=int, default=0, metavar="N", help="of every case (default: its own number)")
    parser.add_argument("--again", action="store_true", help="do steps again that are there")
    parser.add_argument("--json", metavar="FILE", help="write all numbers here")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables here (default: standard output)")
    parser.add_argument("--dry-run", action="store_true", help="print steps and commands, and run nothing")
    args = parser.parse_args()
    args.rounds = args.rounds if args.rounds is not None else 5 if args.device == "cpu" else 3
    if min(args.rounds, args.length, args.threads) < 1:
        parser.error("--rounds, --length and --threads must be 1 at least")
    if args.device != "cpu" and args.device.partition(":")[0] != "cuda":
        parser.error(f"--device {args.device}: expected cpu, cuda or cuda:N")
    if args.budget < 1:
        parser.error("--budget must be 1 at least")
    args.work = os.path.abspath(args.work)
    return args


# ---- steps ----

def all_steps():
    """name: function(args) that returns what is kept."""
    steps = {"model": make_model}
    for case in CASES:
        for isa in ISAS:
            steps[f"choose.{case}.{isa}"] = lambda args, case=case, isa=isa: choose(args, case, isa)
            for what in ("f32", "best") + (("transformers",) if isa == "native" else ()):
                steps[f"{case}.{isa}.{what}"] = (
                    lambda args, case=case, isa=isa, what=what: compare(args, case, isa, what))
    return {**steps, "gate": gate, "start": start}


def wanted(args, steps):
    if not args.steps:
        return list(steps)
    names, chosen = args.steps.split(","), ["model"]
    for name in names:
        found = [step for step in steps if step == name or step.startswith(name + ".")]
        if not found:
            sys.exit(f"--steps: there is no {name}; steps: {' '.join(steps)}")
        chosen += found
    return [step for step in steps if step in chosen]


def path_of(args, name):
    return os.path.join(args.work, f"{name}.json")


def load(args, name):
    with open(path_of(args, name), encoding="utf-8") as file:
        return json.load(file)


def do(args, name, function):
    if os.path.exists(path_of(args, name)) and not (args.again and name != "model"):
        return
    say(f"{name} ...")
    made = function(args)
    temporary = path_of(args, name) + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(made, file)
    os.replace(temporary, path_of(args, name))
    if os.path.exists(path_of(args, name) + ".part"):
        os.remove(path_of(args, name) + ".part")


def keep(args, name, found):
    """What a step has found so far: interrupted, it goes on from there."""
    peer_runs.write_text(json.dumps(found), path_of(args, name) + ".part")


def unfinished(args, name, nothing):
    path = path_of(args, name) + ".part"
    if not os.path.exists(path):
        return nothing
    with open(path, encoding="utf-8") as file:
        return json.load(file)


# ---- model ----

def shape_options(args):
    return [f"--{name}={getattr(args, name.replace('-', '_'))}"
            for name in ("dim", "ffn-dim", "heads", "layers", "vocab-size")]


def model_commands(args):
    model = os.path.join(args.work, "hf")
    return [[args.python, os.path.join(HERE, "peer_decode.py"), "make", model, *shape_options(args)],
            [args.lingster, "convert", model, os.path.join(args.work, "ctranslate2"), "--to", "ctranslate2",
             "--overwrite", "--quiet"]]


def ids_file(args, case):
    """Written anew each time: it is a function of the options."""
    count, path = args.sentences or CASES[case][3], os.path.join(args.work, f"{case}.ids")
    draw = random.Random(1)
    with open(path, "w", encoding="ascii") as out:
        for _ in range(count):
            ids = [draw.randrange(2, args.vocab_size - 1) for _ in range(args.length - 1)] + [0]
            out.write(" ".join(map(str, ids)) + f"\t{args.length}\n")
    return path


def make_model(args):
    for command in model_commands(args):
        peer_bench.run(command)
    return {"shape": shape_options(args)}


# ---- one against the other ----

def peer_of(args, case, isa, kind, how, ids=None):
    workload, beam, batch, _, _ = CASES[case]
    folder = "hf" if kind == "transformers" else "ctranslate2"
    return peer_bench.Peer(args, kind, os.path.join(args.work, folder), os.path.join(args.work, "hf"),
                           ids or ids_file(args, case), beam, batch, how, ISAS[isa][1], workload == "latency")


def ours_command(args, case, dtype, ids, *more):
    workload, beam, batch, _, _ = CASES[case]
    return [args.lingster, "bench", workload, "--device=cpu", "--json", "--quiet", f"--threads={args.threads}",
            f"--model={os.path.join(args.work, 'hf')}", f"--ids={ids}", f"--dtype={dtype}", f"--beam-size={beam}",
            f"--batch-sentences={batch}", "--warmup=1", "--repetitions=1", *args.ours_options.split(), *more]


def run_ours(args, case, isa, dtype, *more):
    return peer_bench.bench(ours_command(args, case, dtype, ids_file(args, case), *more), ISAS[isa][0])


def choose(args, case, isa):
    """Rates of all ways; the fastest at all and in float32."""
    step = f"choose.{case}.{isa}"
    ways = {peer_bench.name_of(how): how for how in peer_bench.ways(args, ISAS[isa][1])}
    rates = unfinished(args, step, {})
    rates = {name: rate for name, rate in rates.items() if name in ways}
    for name, how in ways.items():
        if name in rates:
            continue
        with peer_of(args, case, isa, "ctranslate2", how) as peer:
            peer.ask("run")
            rates[name] = rate(case, peer.ask("run"))
        say(f"  CTranslate2 {name}: {rates[name]:.1f}")
        keep(args, step, rates)
    f32 = [name for name, how in ways.items() if how["compute_type"] == "float32"]
    return {"rates": rates, "best": ways[max(rates, key=rates.get)], "f32": ways[max(f32, key=rates.get)]}


def rate(case, result):
    """Tokens a second; so for latency too, where all sentences are equally long."""
    return result["tokens"] / result["seconds"]


def compare(args, case, isa, what):
    dtype = args.ours if what == "best" else "f32"
    if what == "transformers":
        kind, how = "transformers", {"compute_type": "float32", "inter": 1, "mkl": False}
    else:
        do(args, f"choose.{case}.{isa}", lambda args: choose(args, case, isa))
        kind, how = "ctranslate2", load(args, f"choose.{case}.{isa}")[what]
    step = f"{case}.{isa}.{what}"
    rounds, ours_ids = unfinished(args, step, []), os.path.join(args.work, f"{step}.out")
    with peer_of(args, case, isa, kind, how) as peer:
        peer.ask("run")
        for number in range(len(rounds), 2 * args.rounds):
            if len(undisturbed(rounds)) >= args.rounds:
                break
            theirs = peer.measure()
            ours = run_ours(args, case, isa, dtype, *([f"--output={ours_ids}"] if number == 0 else []))
            pair = {"peer": theirs, "lingster": ours, "ratio": rate(case, ours) / rate(case, theirs)}
            rounds.append(pair)
            keep(args, step, rounds)
            say(f"  round {number + 1}: lingster {rate(case, ours):.1f}, {kind} {rate(case, theirs):.1f} tokens/s, ratio "
                f"{pair['ratio']:.2f}, others {100 * max(ours['others'], theirs['others']):.0f}%")
        same = peer_bench.equal_share(peer_bench.read_ids(ours_ids), peer.ask("ids")["ids"])
        memory = peer.ask("memory")["bytes"]
        disturbed = len(rounds) - len(undisturbed(rounds))
        rounds = undisturbed(rounds) or rounds
        return {"case": case, "isa": isa, "what": what, "kind": kind, "version": peer.version, "dtype": dtype,
                "mode": peer.name, "rounds": rounds, "disturbed": disturbed, "same_ids": same, "peer_peak_bytes": memory,
                "ratio": spread([one["ratio"] for one in rounds]),
                "lingster": spread([rate(case, one["lingster"]) for one in rounds]),
                "peer": spread([rate(case, one["peer"]) for one in rounds]),
                "lingster_peak_bytes": max(one["lingster"]["peak_bytes"] for one in rounds)}


def undisturbed(rounds):
    """What others did not take part in; what they did is measured again, as often at most."""
    return [one for one in rounds if max(one[who]["others"] for who in ("peer", "lingster")) <= OTHERS_LIMIT]


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


# ---- gate and start ----

def gate(args):
    return peer_bench.gate(args, DEMO)


def start(args):
    return peer_bench.start(args, DEMO)


def shut(result):
    return [name for name, share in result.items() if share < LIMITS.get(name, 0)]


# ---- tables ----

def bold_ratio(s):
    return f"**{s['median']:.2f}** ({s['least']:.2f} to {s['most']:.2f})"


def comparison_table(results):
    lines = ["| case | ISA | lingster | tokens/s | peer | tokens/s | ratio | wanted | peak MB | same ids |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for one in results:
        goal = CASES[one["case"]][4].get(one["what"]) if one["isa"] == "native" else 1.0
        remark = "" if undisturbed(one["rounds"]) else " (all rounds disturbed)"
        lines.append(
            f"| {one['case']} | {one['isa']} | {one['dtype']} | {one['lingster']['median']:.0f} | {one['kind']} {one['mode']} "
            f"| {one['peer']['median']:.0f} | {bold_ratio(one['ratio'])}{remark} | {goal or '-'} | "
            f"{one['lingster_peak_bytes'] / 1e6:.0f}, {one['peer_peak_bytes'] / 1e6:.0f} | {same_ids(one)} |")
    return lines


def same_ids(one):
    """Weights of random models round to other ids: only the same type can give the same."""
    return f"{100 * one['same_ids']:.0f}%" if one["dtype"] == "f32" and one["what"] != "best" else "-"


def tables(args, machine, results):
    compared = [one for name, one in results.items() if "ratio" in one]
    lines = [f"{machine['lingster']} ({machine['commit']}), {machine['cpu']} ({' '.join(machine['flags'])}), {args.threads} "
             f"threads, {machine['date']}. Sentences of {args.length} tokens to {args.length} tokens; medians.", ""]
    lines += comparison_table(compared)
    if "gate" in results:
        lines += ["", "| greedy ids, configs/demo | identical sentences | wanted |", "|---|---|---|"]
        lines += [f"| {name} | {100 * share:.1f}% | {100 * LIMITS.get(name, 0):.0f}% |"
                  for name, share in results["gate"].items()]
    if "start" in results:
        lines += ["", "| whole process, one sentence | ms | peak MB |", "|---|---|---|"]
        lines += [f"| {name} | {one['milliseconds']:.0f} | {one['peak_bytes'] / 1e6:.0f} |"
                  for name, one in results["start"].items()]
    return "\n".join(lines) + "\n"


def dry_run(args, chosen):
    for name in chosen:
        print(name)
    for command in model_commands(args):
        print(peer_bench.text_of(command))
    for case in CASES:
        print(peer_bench.text_of(ours_command(args, case, "f32", f"{case}.ids")))
        print(peer_bench.text_of(peer_bench.serve_command(
            args, "ctranslate2", "ctranslate2", "hf", f"{case}.ids", CASES[case][1], CASES[case][2],
            {"compute_type": "float32", "inter": 1, "mkl": False}, CASES[case][0] == "latency")))


def main():
    args = parse_arguments()
    if args.device != "cpu":
        sys.exit(peer_gpu.main(args, wanted))
    steps = all_steps()
    chosen = wanted(args, steps)
    if args.dry_run:
        dry_run(args, chosen)
        return
    os.makedirs(args.work, exist_ok=True)
    for name in chosen:
        do(args, name, steps[name])
    there = [name for name in steps if os.path.exists(path_of(args, name))]
    results = {name: load(args, name) for name in there}
    machine = peer_runs.describe_machine(args)
    if args.json:
        peer_runs.write_text(json.dumps({"machine": machine, "results": results}) + "\n", args.json)
    peer_runs.write_text(tables(args, machine, results), args.markdown)
    closed = shut(results.get("gate", {}))
    for name in closed:
        say(f"gate: {name}: {100 * results['gate'][name]:.1f}% of sentences, expected {100 * LIMITS[name]:.0f}%")
    sys.exit(1 if closed else 0)


if __name__ == "__main__":
    main()
