"""The GPU side of bench-peers.py: training against PyTorch, decoding against transformers and CTranslate2, all in bf16 or
what comes nearest, in turn, within a budget of time. Standard library only."""
import glob
import json
import os
import random
import statistics
import sys
import time

import peer_bench
import peer_runs
from peer_runs import say

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(os.path.dirname(HERE), "configs", "demo")

# name: workload, beam, sentences of a batch, sentences in all
CASES = {
    "beam4-batch64": ("decode", 4, 64, 256),
    "greedy-batch256": ("decode", 1, 256, 1024),
    "beam4-batch256": ("decode", 4, 256, 512),
    "beam4-batch1": ("latency", 4, 1, 10),
    "greedy-batch1": ("latency", 1, 1, 20),
}
# name: dim, ffn-dim, heads, target tokens of an update
TRAINING = {"base": (512, 2048, 8, 25000), "big": (1024, 4096, 16, 12500)}
MODES = {"nn-eager": ("nn", False), "nn-compiled": ("nn", True),
         "fused-eager": ("fused", False), "fused-compiled": ("fused", True)}
# peer: kind, its type, ours
DECODERS = {
    "transformers": ("transformers", "bfloat16", "bf16"),
    "ctranslate2-float16": ("ctranslate2", "float16", "bf16"),
    "ctranslate2-int8": ("ctranslate2", "int8_float16", "int8"),
}
LENGTH, TRAIN_LENGTH, WARMUP, UPDATES = 27, 64, 3, 20
LOSS_LIMIT = 0.02  # of first losses: the same weights and pairs, other dropout
LIMITS = {"cuda f32 = cpu f32": 1.0, "cuda bf16 = cpu f32": 0.97, "cuda int8 = cpu f32": 0.95, "batch 1 = 32": 1.0,
          "batch 7 = 32": 1.0}
SECONDS = {"model": 40, "peaks": 25, "gate": 40, "startup": 20, "memory": 20, "decode": 45, "latency": 40, "eager": 45,
           "compiled": 110}
MOST = 3  # times what a step was thought to take: then it has failed
ALSO = 15  # seconds: a step that begins in time may end so much later than the budget


def add_arguments(parser):
    parser.add_argument("--device", default="cpu", metavar="NAME",
                        help="cuda or cuda:N: the GPU side, see below (default cpu)")
    parser.add_argument("--budget", type=int, default=540, metavar="SECONDS",
                        help="GPU side: steps that would take longer than what is left are left out (default 540)")
    parser.add_argument("--tiny", action="store_true",
                        help="GPU side: a tiny model, little work and the peers on the CPU, to try the script without a GPU")


def shrink(args):
    args.vocab_size, args.peer_device = 300, "cpu"
    for case, (workload, beam, _, _) in list(CASES.items()):
        CASES[case] = (workload, beam, 2, 2)
    for shape in TRAINING:
        TRAINING[shape] = (32, 64, 4, 256)
    SECONDS.update({name: 60 for name in SECONDS})  # the double of a GPU is slow


# ---- steps, the important ones first ----

def all_steps():
    """name: (seconds it takes, about; function that returns what is kept)."""
    steps = {"model": (SECONDS["model"], make_model), "gate": (SECONDS["gate"], gate)}

    def decode(case, peer):
        seconds = SECONDS["latency" if CASES[case][0] == "latency" else "decode"]
        steps[f"{case}.{peer}"] = (seconds, lambda args: compare_decoding(args, case, peer))

    def train(shape, mode):
        seconds = SECONDS["compiled" if MODES[mode][1] else "eager"]
        steps[f"train-{shape}.{mode}"] = (seconds, lambda args: compare_training(args, shape, mode))
    decode("beam4-batch64", "transformers")
    train("base", "nn-eager")
    train("base", "fused-compiled")
    steps["peaks"] = (SECONDS["peaks"], peaks)
    decode("greedy-batch256", "transformers")
    decode("beam4-batch1", "transformers")
    train("base", "nn-compiled")
    train("base", "fused-eager")
    for peer in ("ctranslate2-float16", "ctranslate2-int8"):
        for case in ("beam4-batch64", "greedy-batch256", "beam4-batch1"):
            decode(case, peer)
    steps["startup"] = (SECONDS["startup"], startup)
    steps["memory"] = (SECONDS["memory"], memory)
    decode("greedy-batch1", "transformers")
    decode("beam4-batch256", "transformers")
    train("big", "fused-compiled")
    train("big", "nn-eager")
    return steps


# ---- the program ----

def library_folders():
    """Folders with cuBLASLt that Python packages brought along: where the toolkit is not installed, it is there."""
    found = []
    for folder in sys.path:
        found += glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcublasLt.so.*"))
    return sorted({os.path.dirname(path) for path in found})


def environment_of(args):
    """Of the program: behind what the caller set, the folders of --python's packages."""
    if not hasattr(args, "environment"):
        ask = f"import sys; sys.path.append({HERE!r}); import peer_gpu; print(*peer_gpu.library_folders(), sep=chr(10))"
        try:
            folders = peer_bench.run([args.python, "-c", ask]).split()
        except (SystemExit, OSError):
            folders = []
        own = os.environ.get("LD_LIBRARY_PATH", "")
        args.environment = {"LD_LIBRARY_PATH": ":".join(([own] if own else []) + folders)}
    return args.environment


def bench_command(args, workload, *more):
    return [args.lingster, "bench", *workload.split(), f"--device={args.device}", "--json", "--quiet", *more]


def path(args, *parts):
    return os.path.join(args.work, *parts)


def ids_file(args, case):
    count, name = CASES[case][3], path(args, f"gpu.{case}.ids")
    draw = random.Random(1)
    with open(name, "w", encoding="ascii") as out:
        for _ in range(count):
            ids = [draw.randrange(2, args.vocab_size - 1) for _ in range(LENGTH - 1)] + [0]
            out.write(" ".join(map(str, ids)) + f"\t{LENGTH}\n")
    return name


# ---- models ----

def model_command(args, shape):
    dim, ffn, heads, _ = TRAINING[shape]
    return [args.python, os.path.join(HERE, "peer_decode.py"), "make", path(args, f"gpu.{shape}"), f"--dim={dim}",
            f"--ffn-dim={ffn}", f"--heads={heads}", "--layers=6", f"--vocab-size={args.vocab_size}"]


def convert_command(args):
    return [args.lingster, "convert", path(args, "gpu.base"), path(args, "gpu.ctranslate2"), "--to=ctranslate2",
            "--overwrite", "--quiet"]


def make_model(args):
    peer_bench.run(model_command(args, "base"))
    peer_bench.run(convert_command(args), environment_of(args))
    return {"vocab_size": args.vocab_size}


def big_model(args):
    if not os.path.exists(path(args, "gpu.big", "config.json")):
        peer_bench.run(model_command(args, "big"))


# ---- one against the other ----

def decode_command(args, case, dtype, *more):
    workload, beam, batch, _ = CASES[case]
    return bench_command(args, workload, f"--model={path(args, 'gpu.base')}", f"--ids={path(args, f'gpu.{case}.ids')}",
                         f"--dtype={dtype}", f"--beam-size={beam}", f"--batch-sentences={batch}", "--warmup=1",
                         "--repetitions=2", *more)


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def summary(rounds):
    return {"rounds": rounds, "ratio": spread([one["ratio"] for one in rounds]),
            **{who: spread([one[who] for one in rounds]) for who in ("lingster", "peer")}}


def rounds_of(args, ours, theirs):
    """Rates of both in turn: theirs, ours, theirs, ours ..."""
    rounds = []
    for number in range(args.rounds):
        peer, own = theirs(), ours(number)
        rounds.append({"peer": peer, "lingster": own, "ratio": own / peer})
        say(f"  round {number + 1}: lingster {own:.0f}, peer {peer:.0f} tokens/s, ratio {own / peer:.2f}")
    return rounds


def compare_decoding(args, case, name):
    kind, compute_type, dtype = DECODERS[name]
    workload, beam, batch, _ = CASES[case]
    how = {"compute_type": compute_type, "inter": 1, "mkl": False, "device": args.peer_device}
    folder = path(args, "gpu.base" if kind == "transformers" else "gpu.ctranslate2")
    reports = []

    def ours(_):
        reports.append(peer_bench.bench(decode_command(args, case, dtype), environment_of(args)))
        return reports[-1]["tokens"] / reports[-1]["seconds"]
    with peer_bench.Peer(args, kind, folder, path(args, "gpu.base"), ids_file(args, case), beam, batch, how, {},
                         workload == "latency") as peer:
        peer.ask("run")

        def theirs():
            answer = peer.ask("run")
            last.update(answer)
            return answer["tokens"] / answer["seconds"]
        last = {}
        made = summary(rounds_of(args, ours, theirs))
        return {**made, "case": case, "with": name, "version": peer.version, "dtype": dtype, "mode": compute_type,
                "milliseconds": reports[-1]["milliseconds"],
                "peer_milliseconds": statistics.median(last["milliseconds"]) if last["milliseconds"] else None,
                "gpu_bytes": max(one["gpu_bytes"] or 0 for one in reports), "peer_gpu_bytes": peer.ask("memory")["bytes"]}


def updates(args):
    return 2 if args.tiny else UPDATES


def train_command(args, shape):
    return bench_command(args, "train", f"--model={path(args, f'gpu.{shape}')}", "--dtype=bf16",
                         f"--length={TRAIN_LENGTH}", f"--batch-tokens={TRAINING[shape][3]}", f"--warmup={WARMUP}",
                         f"--repetitions={updates(args)}")


def pairs_command(args, shape):
    return [*train_command(args, shape), "--phases", f"--output={path(args, f'gpu.{shape}.pairs')}"]


def serve_command(args, shape, mode):
    kind, compiled = MODES[mode]
    return [args.python, os.path.join(HERE, "peer_train.py"), f"--model={path(args, f'gpu.{shape}')}",
            f"--pairs={path(args, f'gpu.{shape}.pairs')}", f"--kind={kind}", f"--device={args.peer_device}", "--dtype=bf16",
            *(["--compile"] if compiled else [])]


def compare_training(args, shape, mode):
    if shape == "big":
        big_model(args)
    reports = [json.loads(peer_bench.run(pairs_command(args, shape), environment_of(args)))]

    def ours(number):
        if number > 0:
            reports.append(json.loads(peer_bench.run(train_command(args, shape), environment_of(args))))
        return reports[-1]["rates"]["target_tokens_per_second"]["median"]
    with peer_bench.Served(serve_command(args, shape, mode), {}) as peer:
        first = peer.ask(f"run {WARMUP}")["first_loss"]

        def theirs():
            answer = peer.ask(f"run {updates(args)}")
            return answer["targets"] / answer["seconds"]
        made = summary(rounds_of(args, ours, theirs))
        work, own = reports[0]["work"], reports[0]["work"]["first_loss"]
        return {**made, "case": f"train-{shape}", "with": f"torch {mode}", "version": peer.version, "dtype": "bf16",
                "mode": mode, "targets": work["target_tokens"], "gflop": work["gflop"],
                "utilization": reports[0]["utilization"], "phases": reports[0]["phases"],
                "first_losses": {"lingster": own, "peer": first}, "same_loss": abs(own / first - 1) <= LOSS_LIMIT,
                "gpu_bytes": max(one["memory"]["gpu_held_bytes"] or 0 for one in reports),
                "peer_gpu_bytes": peer.ask("memory")["bytes"]}


# ---- this program alone ----

def peaks_command(args):
    size = ["--dim=32", "--heads=4", "--ffn-dim=64", "--vocab-size=300", "--square=64", "--longest=32", "--batch-tokens=64",
            "--repetitions=1"] if args.tiny else ["--batch-tokens=65536", "--repetitions=5"]
    return bench_command(args, "gemm attention", "--dtype=bf16", *size)


def lines_of(args, command):
    return [json.loads(line) for line in peer_bench.run(command, environment_of(args)).splitlines()]


def peaks(args):
    products, attention = lines_of(args, peaks_command(args))
    return {"machine": products["machine"], "utilization": products["utilization"], "products": products["products"],
            "attention": attention["lengths"]}


def startup_command(args):
    return bench_command(args, "startup", f"--model={DEMO}", f"--repetitions={1 if args.tiny else 5}")


def startup(args):
    return {"processes": lines_of(args, startup_command(args))[0]["processes"]}


def memory_command(args):
    return bench_command(args, "memory", f"--model={path(args, 'gpu.base')}", "--dtype=bf16", "--beam-size=4",
                         *(f"--{name}={2 if args.tiny else count}" for name, count in
                           (("batch-sentences", 64), ("sentences", 256))), f"--batch-tokens={TRAINING['base'][3]}")


def memory(args):
    return {"uses": lines_of(args, memory_command(args))[0]["uses"]}


def gate(args):
    """Shares of sentences with equal greedy ids of the trained model."""
    ids, environment = path(args, "gate.ids"), environment_of(args)
    peer_bench.demo_sentences(args, DEMO, ids, 4 if args.tiny else 0)

    def ours(dtype, device, batch=32):
        return peer_bench.ours_ids(args, DEMO, ids, dtype, device, batch, environment)
    reference, usual = ours("f32", "cpu"), ours("bf16", args.device)
    shares = {f"cuda {dtype} = cpu f32": peer_bench.equal_share(ours(dtype, args.device), reference)
              for dtype in ("f32", "int8")}
    shares["cuda bf16 = cpu f32"] = peer_bench.equal_share(usual, reference)
    for batch in (1, 7):
        shares[f"batch {batch} = 32"] = peer_bench.equal_share(ours("bf16", args.device, batch), usual)
    return {"shares": shares}


# ---- what came out ----

def millions(value):
    return "-" if not value else f"{value / 1e6:.0f}"


def compared_rows(results):
    lines = ["| case | lingster | tokens/s | peer | tokens/s | ratio | GPU MB | remarks |", "|---|---|---|---|---|---|---|---|"]
    for one in results.values():
        if "ratio" not in one:
            continue
        s, remarks = one["ratio"], []
        if one.get("milliseconds"):
            remarks.append(f"{one['milliseconds']['p50']:.1f} ms a sentence, peer {one['peer_milliseconds']:.1f}")
        if one.get("same_loss") is False:
            remarks.append("FIRST LOSSES DIFFER: {lingster:.4f}, {peer:.4f}".format(**one["first_losses"]))
        lines.append(f"| {one['case']} | {one['dtype']} | {one['lingster']['median']:.0f} | {one['with']} {one['version']} | "
                     f"{one['peer']['median']:.0f} | **{s['median']:.2f}** ({s['least']:.2f} to {s['most']:.2f}) | "
                     f"{millions(one['gpu_bytes'])}, {millions(one['peer_gpu_bytes'])} | {'; '.join(remarks)} |")
    return lines


def phase_rows(results):
    one = next((one for one in results.values() if one.get("phases")), None)
    if one is None:
        return []
    lines = ["", f"| phase of an update, {one['case']} | ms | share |", "|---|---|---|"]
    return lines + [f"| {part['phase']} | {1e3 * part['seconds']:.2f} | {100 * part['share']:.1f}% |"
                    for part in one["phases"]["parts"]]


def peak_rows(results):
    if "attention" not in results.get("peaks", {}):
        return []
    found, lines = results["peaks"], []
    use = found["utilization"]
    lines += ["", f"Largest product, bf16: {use['gflop_per_second'] / 1e3:.0f} TFLOP/s" + (
        f", {100 * use['of_nominal']:.0f}% of the nominal peak." if use["of_nominal"] else "; no nominal peak is known.")]
    for one in results.values():
        if one.get("gflop"):
            rate = one["gflop"] * one["lingster"]["median"] / one["targets"]
            lines.append(f"{one['case']}, beside {one['with']}: {rate / 1e3:.0f} TFLOP/s, MFU "
                         f"{100 * rate / use['gflop_per_second']:.0f}% of measured" + (
                             f", {100 * rate / use['nominal_peak']:.0f}% of nominal." if use["nominal_peak"] else "."))
    lines += ["", "| attention, length | causal | forward TFLOP/s | backward TFLOP/s |", "|---|---|---|---|"]
    return lines + [f"| {row['length']} | {'yes' if row['causal'] else 'no'} | {row['forward_tflop_per_second']:.1f} | "
                    f"{row['backward_tflop_per_second']:.1f} |" for row in found["attention"]]


def other_rows(results):
    lines = []
    if "shares" in results.get("gate", {}):
        lines += ["", "| greedy ids, configs/demo | identical sentences | wanted |", "|---|---|---|"]
        lines += [f"| {name} | {100 * share:.1f}% | {100 * LIMITS[name]:.0f}% |"
                  for name, share in results["gate"]["shares"].items()]
    if "processes" in results.get("startup", {}):
        lines += ["", "| whole process | first output, ms | end, ms | peak MB |", "|---|---|---|---|"]
        lines += [f"| {one['process']} | {one['first_output_ms']['median']:.0f} | {one['total_ms']['median']:.0f} | "
                  f"{one['peak_rss_bytes']['max'] / 1e6:.0f} |" for one in results["startup"]["processes"]]
    if "uses" in results.get("memory", {}):
        lines += ["", "| GPU memory, base, bf16 | planned MB | held MB |", "|---|---|---|"]
        lines += [f"| {one['use']} | {millions(one['plan_bytes'])} | {millions(one['held_bytes'])} |"
                  for one in results["memory"]["uses"]]
    return lines


def tables(args, machine, results):
    gpu = next((one["machine"]["gpu"] for one in results.values() if one.get("machine")), None)
    lines = [f"{machine['lingster']} ({machine['commit']}), {gpu['name'] if gpu else 'GPU not told'}, torch "
             f"{machine['torch']}, {machine['date']}. Decoding: base, {LENGTH} tokens to {LENGTH}; training: pairs of "
             f"{TRAIN_LENGTH} tokens, the same ones; medians of {args.rounds} rounds in turn.", ""]
    lines += compared_rows(results) + phase_rows(results) + peak_rows(results) + other_rows(results)
    missing = {name: one["missing"] for name, one in results.items() if "missing" in one}
    if missing:
        lines += ["", "| not measured | why |", "|---|---|"]
        lines += [f"| {name} | {' '.join(why.split())[-200:].replace('|', '/')} |" for name, why in missing.items()]
    return "\n".join(lines) + "\n"


def wrong(results):
    """What makes the figures worth nothing, or was tried and failed."""
    found = [f"{name}: failed" for name, one in results.items() if one.get("failed")]
    found += [f"{name}: first losses differ" for name, one in results.items() if one.get("same_loss") is False]
    shares = results.get("gate", {}).get("shares", {})
    return found + [f"gate: {name}: {100 * share:.1f}%, expected {100 * LIMITS[name]:.0f}%"
                    for name, share in shares.items() if share < LIMITS[name]]


# ---- doing it ----

def command_lists(args, name):
    """The commands of a step."""
    case, _, peer = name.partition(".")
    if name == "model":
        return [model_command(args, "base"), convert_command(args)]
    if name in ("peaks", "startup", "memory"):
        return [{"peaks": peaks_command, "startup": startup_command, "memory": memory_command}[name](args)]
    if name == "gate":
        return []
    if case in CASES:
        kind, compute_type, dtype = DECODERS[peer]
        workload, beam, batch, _ = CASES[case]
        folder = path(args, "gpu.base" if kind == "transformers" else "gpu.ctranslate2")
        how = {"compute_type": compute_type, "inter": 1, "device": args.peer_device}
        return [decode_command(args, case, dtype),
                peer_bench.serve_command(args, kind, folder, path(args, "gpu.base"), path(args, f"gpu.{case}.ids"), beam,
                                         batch, how, workload == "latency")]
    shape = case.removeprefix("train-")
    return [pairs_command(args, shape), serve_command(args, shape, peer)]


def dry_run(args, chosen, steps):
    print(f"# about {sum(steps[name][0] for name in chosen)} seconds in all, budget {args.budget}: what does not fit is "
          f"left out, from the end")
    spent = 0
    for name in chosen:
        spent += steps[name][0]
        print(f"{name}: about {steps[name][0]} s" + ("" if spent <= args.budget else ", beyond the budget"))
        for command in command_lists(args, name):
            print("  " + peer_bench.text_of(command))


def has_ctranslate2(args):
    try:
        peer_bench.run([args.python, "-c", "import ctranslate2; assert ctranslate2.get_cuda_device_count() > 0"])
        return True
    except SystemExit:
        return False


def measure(args, chosen, steps, started):
    """name: what came out, or why nothing did."""
    results = {}
    peer_there = any("ctranslate2" in name for name in chosen) and has_ctranslate2(args)
    end = started + args.budget + ALSO
    for name in chosen:
        left = args.budget - (time.monotonic() - started)
        if "ctranslate2" in name and not peer_there:
            results[name] = {"missing": "CTranslate2 with CUDA is not there"}
        elif steps[name][0] > left + ALSO:
            results[name] = {"missing": f"{left:.0f} seconds were left"}
        elif name != "model" and results.get("model", {}).get("failed"):
            results[name] = {"missing": "there is no model"}
        else:
            say(f"{name} ... ({left:.0f} s left)")
            peer_bench.deadline = min(end, time.monotonic() + MOST * steps[name][0])
            try:
                results[name] = steps[name][1](args)
            except (SystemExit, OSError, ValueError, KeyError, TypeError) as error:
                say(f"  {error}")
                results[name] = {"failed": True, "missing": f"{type(error).__name__}: {error}"}
    return results


def main(args, wanted):
    args.peer_device = "cuda"
    if args.tiny:
        shrink(args)
    steps = all_steps()
    chosen = wanted(args, steps)
    if args.dry_run:
        dry_run(args, chosen, steps)
        return 0
    os.makedirs(args.work, exist_ok=True)
    started = time.monotonic()
    machine = peer_runs.describe_machine(args)
    results = measure(args, chosen, steps, started)
    if args.json:
        peer_runs.write_text(json.dumps({"machine": machine, "results": results}) + "\n", args.json)
    peer_runs.write_text(tables(args, machine, results), args.markdown)
    for text in wrong(results):
        say(text)
    return 1 if wrong(results) else 0
