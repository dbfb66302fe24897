"""Runs lingster train and its PyTorch counterpart for comparisons. Standard library only."""
import json
import os
import shlex
import struct
import subprocess
import sys
import time

import peer_data

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = os.path.join(HERE, "peer_transformer.py")

# What an allocator made for the purpose (as PyTorch's tuning guide asks for) does: memory is kept, not given back and
# faulted in again with every large tensor.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(64 << 20)}


def say(text):
    print(text, file=sys.stderr, flush=True)


def beside():
    there = os.path.join(os.path.dirname(HERE), "bin", "lingster")
    return there if os.path.isfile(there) else "lingster"


def add_program_arguments(parser):
    parser.add_argument("--lingster", default=os.environ.get("LINGSTER", beside()), metavar="BIN",
                        help="the program (default $LINGSTER, or the one beside this script in the folder of make dist, or "
                             "lingster on the path)")
    parser.add_argument("--python", default=os.environ.get("LNG_PEER_PYTHON", sys.executable), metavar="BIN",
                        help="Python with torch, and sentencepiece where needed (default $LNG_PEER_PYTHON, or the one "
                             "that runs this script)")
    parser.add_argument("--threads", type=int, default=2, help="of both (default 2)")
    parser.add_argument("--work", required=True, metavar="DIR", help="folder for vocabularies (made once), runs and logs")


def command_output(command):
    try:
        made = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return (made.stdout or made.stderr).strip() if made.returncode == 0 else "unknown"


def read_commit():
    """Of the folder of make dist, or of a checkout."""
    try:
        with open(os.path.join(os.path.dirname(HERE), "COMMIT"), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return command_output(["git", "-C", HERE, "describe", "--always", "--dirty"])


def describe_machine(args):
    """What a reader needs to judge the numbers."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        info = dict(line.split(":", 1) for line in file.read().split("\n") if ":" in line)
    info = {key.strip(): value.strip() for key, value in info.items()}
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
    return {
        "cpu": info.get("model name", "unknown"),
        "flags": [flag for flag in wanted if flag in info.get("flags", "").split()],
        "cores": os.cpu_count(),
        "threads": args.threads,
        "lingster": command_output([args.lingster, "--version"]).split("\n")[0],
        "torch": command_output([args.python, "-c", "import torch; print(torch.__version__)"]),
        "commit": read_commit(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


# ---- load by others ----

class Load:
    """How much of the machine other processes used meanwhile."""

    def __init__(self):
        self.started, self.before = time.monotonic(), self.busy()

    @staticmethod
    def busy():
        """Seconds that all cores worked or were taken away by the host."""
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _wait, irq, soft, steal = map(int, file.readline().split()[1:9])
        return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")

    def others(self, own_seconds):
        """Their share of the cores, 0 to 1."""
        wall = time.monotonic() - self.started
        return max(0.0, (self.busy() - self.before - own_seconds) / (wall * os.cpu_count()))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- data ----

class Case:
    """A configuration with its data; the vocabularies are made here."""

    def __init__(self, name, config, source, target, valid=None):
        self.name, self.config, self.source, self.target, self.valid = name, config, source, target, valid
        self.vocabulary = []
        for path in (config, source, target, *(valid or ())):
            if not os.path.isfile(path):
                raise SystemExit(f"{name}: there is no file {path}")

    def arguments(self):
        """For lingster train, and so for the PyTorch counterpart."""
        data = [f"--train-source={self.source}", f"--train-target={self.target}"]
        if self.valid:
            data += [f"--valid-source={self.valid[0]}", f"--valid-target={self.valid[1]}"]
        return [self.config, *self.vocabulary, *data]

    def vocabulary_commands(self, args, size):
        """Commands of lingster vocab, and sets the options that name their results."""
        o = peer_data.resolve_options(args.lingster, [self.config])
        symbols = o["tokenizer"] == "symbols"
        size = size or (20000 if symbols else 8000)
        form = ["--model-type=symbols"] if symbols else []
        sides = {"vocab": [self.source, self.target]}
        if o["tied"] != "all":
            sides = {"source-vocab": [self.source], "target-vocab": [self.target]}
        commands = []
        for option, inputs in sides.items():
            path = os.path.join(args.work, f"{self.name}.{option}.{size}." + ("json" if symbols else "spm"))
            self.vocabulary.append(f"--{option}={path}")
            commands.append((path, [args.lingster, "vocab", "--quiet", *form, f"--vocab-size={size}",
                                    *(f"--input={path}" for path in inputs), f"--output={path}"]))
        return commands

    def make_vocabulary(self, args, size=0):
        for path, command in self.vocabulary_commands(args, size):
            if not os.path.isfile(path):
                run_checked(command)


def run_checked(command, **keywords):
    made = subprocess.run(command, capture_output=True, text=True, **keywords)
    if made.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}\nfailed with status {made.returncode}:\n{made.stderr.strip()}")
    return made.stdout


# ---- lingster ----

def lingster_command(args, case, run_dir, options):
    return [args.lingster, "train", *case.arguments(), f"--threads={args.threads}", f"--output={run_dir}",
            "--overwrite", "--quiet", *(f"--{name}={value}" for name, value in options.items())]


def read_events(run_dir):
    with open(os.path.join(run_dir, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def time_lingster(args, case, dtype, warmup, updates, seed):
    """Rate of `updates` updates behind `warmup` ones, from the program's own metrics."""
    run_dir = os.path.join(args.work, f"{case.name}.run")
    options = {"dtype": dtype, "seed": seed, "max-updates": warmup + updates, "log-every": "1u",
               "save-every": "1000000u", "average-last": 1}
    load, before = Load(), os.times()
    run_checked(lingster_command(args, case, run_dir, options))
    after = os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    events = [event for event in read_events(run_dir) if event["event"] == "train"]
    if len(events) != warmup + updates or events[-1]["skipped"] > 0:
        raise SystemExit(f"{run_dir}/metrics.jsonl: expected {warmup + updates} updates, none skipped")
    start, end = events[warmup - 1], events[-1]
    targets, seconds = end["targets"] - start["targets"], end["seconds"] - start["seconds"]
    return {"updates": updates, "targets": targets, "seconds": seconds, "targets_per_second": targets / seconds,
            "warmup_loss": sum(event["loss"] for event in events[:warmup]) / warmup, "others": load.others(own)}


def count_parameters(directory, o):
    """Trained numbers in a model directory: not what transformers merely wants to find there."""
    with open(os.path.join(directory, "model.safetensors"), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    total = 0
    for name, entry in header.items():
        extra = name == "__metadata__" or ("embed_positions" in name and o["positions"] != "learned") or (
            name == "final_logits_bias" and not o["output-bias"])
        if not extra:
            size = 1
            for dimension in entry["shape"]:
                size *= dimension
            total += size
    return total


# ---- the same weights in both ----

def write_short_pairs(case, folder, count=64, longest=30):
    """The first pairs with few words, as files to validate on."""
    sides = [peer_data.read_lines(path) for path in (case.source, case.target)]
    pairs = [pair for pair in zip(*sides) if all(0 < len(text.split()) <= longest for text in pair)][:count]
    paths = [os.path.join(folder, f"{case.name}.check.{side}") for side in ("source", "target")]
    for path, lines in zip(paths, zip(*pairs)):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
    return paths


def same_weights(args, case):
    """{parameters, loss} of lingster and of PyTorch, with random weights that lingster made."""
    source, target = write_short_pairs(case, args.work)
    options = {"max-updates": 1, "lr": 0, "warmup-start-lr": 0, "average-last": 1, "valid-source": source,
               "valid-target": target, "early-stopping-metrics": "loss"}
    run_dir = os.path.join(args.work, f"{case.name}.check")
    run_checked(lingster_command(args, case, run_dir, options))
    loss = [event for event in read_events(run_dir) if event["event"] == "valid"][0]["loss"]
    o = peer_data.resolve_options(args.lingster, case.arguments())
    ours = {"parameters": count_parameters(f"{run_dir}/model", o), "loss": loss}
    output = run_checked(peer_command(args, case, {**options, "max-updates": 0}, [f"--load={run_dir}/model"]),
                         env=peer_environment(args))
    start, valid = (json.loads(line) for line in output.strip().split("\n"))
    return ours, {"parameters": start["parameters"], "loss": valid["loss"]}


# ---- PyTorch ----

def peer_command(args, case, options, own=()):
    return [args.python, PEER, f"--lingster={args.lingster}", *own, *case.arguments(), f"--threads={args.threads}",
            *(f"--{name}={value}" for name, value in options.items())]


def peer_environment(args):
    return {**KEEP_MEMORY, **os.environ, "OMP_NUM_THREADS": str(args.threads)}


class PeerProcess:
    """The PyTorch counterpart, started once (so that it compiles once) and training on command. It sleeps between."""

    def __init__(self, args, case, dtype, compiled, own=()):
        self.name = f"{dtype} {'compiled' if compiled else 'eager'}"
        self.dtype = dtype
        options = {"dtype": dtype, "seed": 1, "log-every": "1000000u", "save-every": "1000000u", "max-updates": 1000000}
        command = peer_command(args, case, options, ["--rounds", *own, *(["--compile"] if compiled else [])])
        log = os.path.join(args.work, f"{case.name}.{self.name.replace(' ', '.')}.log")
        with open(log, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            text=True, env=peer_environment(args))
        self.log = log
        self.start = self.expect("start")
        self.data = self.expect("data")

    def expect(self, event):
        line = self.process.stdout.readline()
        if not line:
            with open(self.log, encoding="utf-8") as file:
                raise SystemExit(f"PyTorch, {self.name}, ended:\n{file.read()[-2000:]}")
        values = json.loads(line)
        if values["event"] != event:
            raise SystemExit(f"PyTorch, {self.name}: expected {event}, found {line}")
        return values

    def run(self, updates):
        load, before = Load(), cpu_seconds(self.process.pid)
        self.process.stdin.write(f"{updates}\n")
        self.process.stdin.flush()
        values = self.expect("round")
        values["others"] = load.others(cpu_seconds(self.process.pid) - before)
        return values

    def warm_up(self, updates, most=5):
        """At least `updates`, and until nothing is compiled any more. Returns the first round."""
        first = values = self.run(updates)
        for _ in range(most):
            if values["graphs"] == 0:
                break
            values = self.run(updates)
        return first

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def write_text(text, path):
    """To standard output without a path."""
    if path is None:
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
