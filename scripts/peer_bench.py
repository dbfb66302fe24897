"""Processes that bench-peers.py compares: how they are started, told to work, and timed. Standard library only."""
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

import peer_runs

HERE = os.path.dirname(os.path.abspath(__file__))
PAUSE = 0.4  # seconds after a program has worked: threads of some runtimes spin for a while


def text_of(command):
    return shlex.join(map(str, command))


def run(command, environment=None):
    made = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
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
    return {"seconds": report["seconds"]["median"], "cpu_seconds": report["cpu_seconds"]["median"],
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
            *(["--latency"] if latency else [])]


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


class Peer:
    """A process of peer_decode.py; a context manager."""

    def __init__(self, args, kind, model, vocabulary, ids, beam, batch, how, environment, latency):
        self.name = name_of(how) if kind == "ctranslate2" else how["compute_type"]
        command = serve_command(args, kind, model, vocabulary, ids, beam, batch, how, latency)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **peer_environment(how, environment)})
        self.version = self.answer()["ready"]

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.errors.seek(0)
        sys.exit(f"{text_of(self.process.args)} ended: {self.errors.read()[-2000:]}")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def measure(self):
        time.sleep(PAUSE)
        load, before = peer_runs.Load(), peer_runs.cpu_seconds(self.process.pid)
        result = self.ask("run")
        return {**result, "others": load.others(peer_runs.cpu_seconds(self.process.pid) - before)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()
