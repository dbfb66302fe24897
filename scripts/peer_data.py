"""Options, vocabularies and padded batches for the PyTorch counterpart of lingster train.

The options are those of the program: it is asked for them (lingster train ... --dump-config), so presets,
defaults and derived values are its own. Text becomes the same ids as there.
"""
import json
import math
import random
import re
import subprocess

SPECIAL = ("</s>", "<unk>", "<pad>")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
ASCII_SPACE = re.compile("[ \t\n\v\f\r]+")


# ---- options ----

def parse_scalar(text):
    """A value of --dump-config: true, 12, 1e-05, 1000u, post or a quoted text."""
    if text.startswith('"'):
        return json.loads(text)
    if text in ("true", "false"):
        return text == "true"
    if NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return text


def parse_dump(text):
    """{name: value}; options that are not set are missing. Lists are lists."""
    options, last = {}, None
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("  - "):
            if not isinstance(options[last], list):
                options[last] = []
            options[last].append(parse_scalar(line[4:].strip()))
            continue
        last, _, value = line.partition(":")
        options[last] = parse_scalar(value.strip())
    return options


def resolve_options(lingster, arguments):
    """What lingster train would do with these arguments."""
    made = subprocess.run([lingster, "train", *arguments, "--dump-config"], capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"{lingster} train --dump-config failed:\n{made.stderr.strip()}")
    return parse_dump(made.stdout)


# ---- random text ----

def write_random_case(folder, name, config, words, batch_tokens, tokens=400000):
    """Paths of a configuration, and of a source and a target of random words: each occurs about equally often. Lengths are
    log-normal with those of BPE tokens in newstest2014: mean 27, deviation 14, 4 to 119 (and the end)."""
    paths = [f"{folder}/{name}.random.{end}" for end in ("yml", "source", "target")]
    with open(config, encoding="utf-8") as file:
        kept = [line for line in file if line.partition(":")[0] not in ("tokenizer", "accumulate", "batch-tokens")]
    with open(paths[0], "w", encoding="utf-8") as out:
        out.writelines(kept)
        out.write(f"\ntokenizer: symbols\naccumulate: 1\nbatch-tokens: {batch_tokens}\n")
    draw = random.Random(1)
    lengths, total = [], 0
    while total < max(tokens, 3 * words):
        lengths.append(round(min(max(math.exp(draw.gauss(3.177, 0.488)), 5), 120)) - 1)
        total += lengths[-1]
    for path in paths[1:]:
        text = []
        while len(text) < total:
            text += draw.sample(range(words), words)
        with open(path, "w", encoding="ascii") as out:
            first = 0
            for length in lengths:
                out.write(" ".join(f"w{i}" for i in text[first:first + length]) + "\n")
                first += length
    return paths


# ---- vocabularies ----

class Vocabulary:
    """One side's text <-> ids: symbols of a vocab.json, or a SentencePiece model."""

    def __init__(self, path, symbols):
        self.pieces = None
        if symbols:
            with open(path, encoding="utf-8") as file:
                self.id_of = json.load(file)
        else:
            import sentencepiece
            self.pieces = sentencepiece.SentencePieceProcessor(model_file=path)
            names = [self.pieces.id_to_piece(i) for i in range(self.pieces.get_piece_size())]
            special = {"</s>", "<pad>", self.pieces.id_to_piece(self.pieces.unk_id())}
            ordinary = [name for name in names if name not in special]
            self.id_of = {name: i for i, name in enumerate(["</s>", "<unk>", *ordinary, "<pad>"])}
        self.text_of = {i: text for text, i in self.id_of.items()}
        self.eos, self.unk, self.pad = (self.id_of[text] for text in SPECIAL)

    def __len__(self):
        return len(self.id_of)

    def encode(self, lines, threads=1):
        """Ids of each line, without the end token."""
        if self.pieces is not None:
            cut = self.pieces.encode(lines, out_type=str, num_threads=threads)
        else:
            cut = ([word for word in ASCII_SPACE.split(line) if word] for line in lines)
        find, unk = self.id_of.get, self.unk
        special = {self.eos, self.pad}
        rows = [[find(word, unk) for word in words] for words in cut]
        return [[unk if i in special else i for i in row] for row in rows]

    def decode(self, ids):
        words = [self.text_of[i] for i in ids if i not in (self.eos, self.pad)]
        if self.pieces is None:
            return " ".join(words)
        return self.pieces.decode_pieces(words).replace("\n", " ").replace("\r", " ")


def open_vocabularies(options):
    """(source, target), the same object when it is shared."""
    symbols = options["tokenizer"] == "symbols"
    source = Vocabulary(options.get("vocab") or options["source-vocab"], symbols)
    path = None if options.get("vocab") else options.get("target-vocab")
    return source, Vocabulary(path, symbols) if path else source


# ---- sentences ----

def read_lines(path):
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        lines = file.read().split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line.rstrip("\r") for line in lines]


def as_list(value):
    return value if isinstance(value, list) else [value]


def read_pairs(options, vocabularies, sources, targets):
    """[(source ids, target ids)] with end tokens. Nothing is left out."""
    pairs = []
    for source_path, target_path in zip(as_list(sources), as_list(targets)):
        sides = []
        for path, vocabulary in zip((source_path, target_path), vocabularies):
            rows = vocabulary.encode(read_lines(path), max(1, options["threads"]))
            sides.append([row + [vocabulary.eos] for row in rows])
        if len(sides[0]) != len(sides[1]):
            raise SystemExit(f"{source_path} and {target_path}: {len(sides[0])} and {len(sides[1])} lines")
        pairs += zip(*sides)
    return pairs


def training_pairs(options, vocabularies):
    """Pairs that lingster would train on: neither side empty, none longer than max-length."""
    limit = options["max-length"]
    return [(s, t) for s, t in read_pairs(options, vocabularies, options["train-source"], options["train-target"])
            if 1 < len(s) <= limit and 1 < len(t) <= limit]


# ---- batches ----

def cut_batches(lengths, order, tokens, sentences=0):
    """Places of `order` in batches whose padded size, count * longest side, stays within `tokens` (fairseq's
    --max-tokens)."""
    batches, batch, longest = [], [], 0
    for place in order:
        longest_next = max(longest, *lengths[place])
        full = sentences and len(batch) == sentences
        if batch and (full or longest_next * (len(batch) + 1) > tokens):
            batches.append(batch)
            batch, longest_next = [], max(lengths[place])
        batch.append(place)
        longest = longest_next
    return batches + [batch] if batch else batches


class Batches:
    """Endless batches [(source ids, target ids)]: each epoch is sorted by target, then source length, cut, and
    the batches are shuffled. Pairs of equal lengths are in another random order each epoch."""

    def __init__(self, pairs, options):
        self.pairs = pairs
        self.lengths = [(len(s), len(t)) for s, t in pairs]
        self.tokens, self.sentences = options["batch-tokens"], options["batch-sentences"]
        self.random = random.Random(options["seed"])
        self.epochs, self.waiting = 0, []
        if not pairs:
            raise SystemExit("no pairs to train on")

    def fit_budget(self, targets):
        """A token budget with which batches hold so many target tokens on average."""
        total = sum(target for _, target in self.lengths)
        for _ in range(3):
            mean = total / len(self.cut())
            self.tokens = max(1, round(self.tokens * targets / mean))

    def cut(self):
        """An epoch's batches by rising length."""
        order = list(range(len(self.pairs)))
        self.random.shuffle(order)
        order.sort(key=lambda i: (self.lengths[i][1], self.lengths[i][0]))
        return cut_batches(self.lengths, order, self.tokens, self.sentences)

    def next(self):
        if not self.waiting:
            self.waiting = self.cut()
            self.random.shuffle(self.waiting)
            self.epochs += 1
        return [self.pairs[i] for i in self.waiting.pop()]


def in_order(pairs, tokens):
    """Batches of pairs sorted by length, for validation."""
    order = sorted(range(len(pairs)), key=lambda i: (len(pairs[i][1]), len(pairs[i][0])))
    lengths = [(len(s), len(t)) for s, t in pairs]
    return [[pairs[i] for i in batch] for batch in cut_batches(lengths, order, tokens)]
