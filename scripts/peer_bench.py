"""Processes that bench-peers.py compares: how they are started, told to work, and timed. Standard library only."""
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import peer_runs

HERE = os.path.dirname(os.path.abspath(__file__))
PAUSE = 0.4  # seconds after a program has worked: threads of some runtimes spin for a while


def text_of(command):
    return shlex.join(map(str, command))


deadline = None  # of all processes, by time.monotonic(); None: they may take as long as they like


def seconds_left():
    return None if deadline is None else max(1.0, deadline - time.monotonic())


def run(command, environment=None):
    try:
        made = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})},
                              timeout=seconds_left())
    except subprocess.TimeoutExpired:
        sys.exit(f"{text_of(command)}: took too long")
    if made.returncode != 0:
        sys.exit(f"{text_of(command)}: exit status {made.returncode}\n{made.stderr[-2000:]}")
    return made.stdout


# ---- lingster ----

def bench(command, environment):
    """One run of lingster bench, in the words of a peer's answer."""
    time.sleep(PAUSE)
    load = peer_runs.Load()
    started = os.times()
    report = json.loads(run(command, environment))
    ended = os.times()
    own = ended.children_user + ended.children_system - started.children_user - started.children_system
    return {"gpu_bytes": report["memory"]["gpu_held_bytes"],
            "seconds": report["seconds"]["median"], "cpu_seconds": report["cpu_seconds"]["median"],
            "tokens": report["work"]["target_tokens"], "milliseconds": report.get("milliseconds"),
            "peak_bytes": report["memory"]["peak_rss_bytes"], "plan_bytes": report["memory"]["plan_bytes"],
            "instructions": report["machine"]["instructions"], "others": load.others(own)}


def read_ids(path):
    with open(path, encoding="ascii") as file:
        return [[int(i) for i in line.split()] for line in file]


def equal_share(ours, theirs):
    return sum(a == b for a, b in zip(ours, theirs)) / len(ours) if len(ours) == len(theirs) else 0.0


# ---- peers ----

def name_of(how):
    return f"{how['compute_type']}{', MKL' if how['mkl'] else ''}, workers {how['inter']}"


def serve_command(args, kind, model, vocabulary, ids, beam, batch, how, latency):
    return [args.python, os.path.join(HERE, "peer_decode.py"), "serve", kind, f"--model={model}",
            f"--vocabulary={vocabulary}", f"--ids={ids}", f"--beam={beam}", f"--batch={batch}",
            f"--threads={args.threads}", f"--compute-type={how['compute_type']}", f"--inter={how['inter']}",
            *(["--latency"] if latency else []), *([f"--device={how['device']}"] if "device" in how else [])]


def peer_environment(how, environment):
    return {**environment, **({"CT2_USE_MKL": "1"} if how["mkl"] else {})}


def ways(args, environment):
    """How CTranslate2 can be run here: compute types by library, and workers of --threads together."""
    found = []
    ask = "import ctranslate2, json; print(json.dumps(sorted(ctranslate2.get_supported_compute_types('cpu'))))"
    for mkl in (False, True) if args.mkl else (False,):
        how = {"mkl": mkl}
        for compute_type in json.loads(run([args.python, "-c", ask], peer_environment(how, environment))):
            for inter in sorted({1, args.threads}):
                found.append({"compute_type": compute_type, "inter": inter, "mkl": mkl})
    return found


class Served:
    """A process that says when it is ready, and then answers each line of its input by one of JSON; a context manager. At
    the deadline it is ended, whatever it does."""

    def __init__(self, command, environment):
        self.errors = tempfile.TemporaryFile("w+")
        self.late = False
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **environment})
        self.watch = threading.Timer(seconds_left(), self.end_late) if deadline is not None else None
        if self.watch:
            self.watch.daemon = True
            self.watch.start()
        try:
            self.version = self.answer()["ready"]
        except BaseException:
            self.__exit__()
            raise

    def end_late(self):
        self.late = True
        self.process.kill()

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.errors.seek(0)
        why = "took too long" if self.late else f"ended: {self.errors.read()[-2000:]}"
        sys.exit(f"{text_of(self.process.args)} {why}")

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says why
        return self.answer()

    def measure(self):
        time.sleep(PAUSE)
        load, before = peer_runs.Load(), peer_runs.cpu_seconds(self.process.pid)
        result = self.ask("run")
        return {**result, "others": load.others(peer_runs.cpu_seconds(self.process.pid) - before)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.watch:
            self.watch.cancel()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class Peer(Served):
    """A process of peer_decode.py."""

    def __init__(self, args, kind, model, vocabulary, ids, beam, batch, how, environment, latency):
        self.name = name_of(how) if kind == "ctranslate2" else how["compute_type"]
        super().__init__(serve_command(args, kind, model, vocabulary, ids, beam, batch, how, latency),
                         peer_environment(how, environment))


# ---- the gate: what figures are worth ----

def demo_sentences(args, demo, path, most=0):
    """Ids of the sample sentences, or of the first few, by the program's own tokenizer."""
    with open(os.path.join(demo, "vocab.json"), encoding="utf-8") as file:
        ids = json.load(file)
    lines = run([args.lingster, "translate", "-m", demo, "-i", os.path.join(demo, "sample.en"), "--json", "--quiet",
                 "--device=cpu", "--beam-size=1"]).splitlines()
    with open(path, "w", encoding="ascii") as out:
        for line in lines[:most or None]:
            for segment in json.loads(line)["segments"]:
                out.write(" ".join(str(ids.get(token, 1)) for token in segment["source_tokens"]) + "\n")


def ours_ids(args, demo, ids, dtype, device="cpu", batch=32, environment=None):
    out = os.path.join(args.work, f"gate.{device}.{dtype}.out")
    run([args.lingster, "bench", "decode", f"--model={demo}", f"--ids={ids}", f"--device={device}", f"--dtype={dtype}",
         "--beam-size=1", f"--threads={args.threads}", f"--batch-sentences={batch}", "--warmup=0", "--repetitions=1", "--quiet",
         f"--output={out}"], environment)
    return read_ids(out)


def theirs_ids(args, model, vocabulary, ids, compute_type):
    how = {"compute_type": compute_type, "inter": 1, "mkl": False}
    with Peer(args, "ctranslate2", model, vocabulary, ids, 1, 32, how, {}, False) as peer:
        peer.ask("run")
        return peer.ask("ids")["ids"]


def without_end(ids):
    """CTranslate2 does not give the end token out."""
    return ids[:-1] if ids[-1:] == [0] else ids


def gate(args, demo):
    """Shares of sentences with equal greedy ids."""
    ids, converted = os.path.join(args.work, "gate.ids"), os.path.join(args.work, "gate.ctranslate2")
    demo_sentences(args, demo, ids)
    f32 = ours_ids(args, demo, ids, "f32")
    run([args.lingster, "convert", demo, converted, "--to=ctranslate2", "--overwrite", "--quiet"])
    shares = {"cpu f32 = ref f32": equal_share(f32, ours_ids(args, demo, ids, "f32", "ref"))}
    theirs = {compute_type: theirs_ids(args, converted, demo, ids, compute_type) for compute_type in ("float32", "int8")}
    shares["f32 = CTranslate2 float32"] = equal_share([without_end(row) for row in f32], theirs["float32"])
    shares["CTranslate2 int8 = its float32"] = equal_share(theirs["int8"], theirs["float32"])
    for dtype in ("bf16", "int8"):
        made = subprocess.run([args.lingster, "bench", "gemm", f"--dtype={dtype}", "--device=cpu", "--dim=2", "--heads=1",
                               "--ffn-dim=2", "--vocab-size=8", "--repetitions=1", "--quiet"], capture_output=True)
        if made.returncode == 0:  # the machine has it
            shares[f"{dtype} = f32"] = equal_share(ours_ids(args, demo, ids, dtype), f32)
    return shares


# ---- start-up ----

def timed_process(command, text="", environment=None):
    """(milliseconds, peak bytes) of a process from its start to its end."""
    with tempfile.TemporaryFile("w+") as source, tempfile.TemporaryFile("w+") as out:
        source.write(text)
        source.seek(0)
        before = time.monotonic()
        process = subprocess.Popen(command, stdin=source, stdout=out, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{text_of(command)}: exit status {process.returncode}")
        return 1e3 * (time.monotonic() - before), usage.ru_maxrss * 1024


CTRANSLATE2_START = """
import sys, ctranslate2
t = ctranslate2.Translator(sys.argv[1], compute_type=sys.argv[2], intra_threads=int(sys.argv[3]))
t.translate_batch([sys.argv[4].split()], beam_size=1, max_decoding_length=27, min_decoding_length=27)
"""


def start(args, demo):
    """One sentence each, in turn; medians."""
    model, converted = os.path.join(args.work, "hf"), os.path.join(args.work, "ctranslate2")
    ids = os.path.join(args.work, "start.ids")
    words = [f"w{i}" for i in range(2, 28)]
    with open(ids, "w", encoding="ascii") as out:
        out.write(" ".join(str(i) for i in range(2, 28)) + " 0\t27\n")
    commands = {"lingster translate, configs/demo": ([args.lingster, "translate", "-m", demo, "--device=cpu", "--quiet",
                                                      f"--threads={args.threads}"], "How are you today?\n")}
    for dtype in ("f32", args.ours):
        commands[f"lingster bench, base model, {dtype}"] = (
            [args.lingster, "bench", "latency", f"--model={model}", f"--ids={ids}", "--device=cpu", f"--dtype={dtype}",
             "--beam-size=1", f"--threads={args.threads}", "--warmup=0", "--repetitions=1", "--quiet"], "")
    for compute_type in ("float32", "int8"):
        commands[f"Python, CTranslate2, base model, {compute_type}"] = (
            [args.python, "-c", CTRANSLATE2_START, converted, compute_type, str(args.threads), " ".join(words)], "")
    measured = {name: [] for name in commands}
    for _ in range(args.rounds + 1):
        for name, (command, text) in commands.items():
            measured[name].append(timed_process(command, text))
    return {name: {"milliseconds": statistics.median(time for time, _ in rows[1:]),
                   "peak_bytes": max(peak for _, peak in rows[1:])} for name, rows in measured.items()}
