"""Greedy and beam search with lingster's default rules, so that two models are judged by the same search.

K hypotheses live; a step looks at the 2K best continuations of all of them. Those that end are finished and
take no live place. Finished ones are ranked by log-probability / length (end token included). A sentence stops
when no live hypothesis can become better, or at 3 S + 10 tokens, where the end token is forced.
"""
import torch

LONGEST = 512


def pad_rows(rows, pad):
    width = max(map(len, rows))
    return torch.tensor([row + [pad] * (width - len(row)) for row in rows])


class Beam:
    """The search of a batch. Rows of the model are sentences * beam, in this order."""

    def __init__(self, model, vocabulary, sources, beam):
        self.model, self.beam, self.eos = model, beam, vocabulary.eos
        self.banned = [vocabulary.unk, vocabulary.pad]
        self.start = vocabulary.pad
        self.place = list(range(len(sources)))  # of each sentence still searched
        self.limit = torch.tensor([min(3 * len(row) + 10, LONGEST) for row in sources])
        encoded, mask = model.encode(pad_rows(sources, model.source_pad))
        cross = [layer.cross_attention.keys_values(encoded) for layer in model.decoder]
        self.cross = [tuple(x.repeat_interleave(beam, 0) for x in pair) for pair in cross]
        self.mask = mask.repeat_interleave(beam, 0)
        self.caches = [None] * len(model.decoder)
        self.total = torch.full((len(sources), beam), -torch.inf, dtype=torch.float64)
        self.total[:, 0] = 0
        self.tokens = torch.empty(len(sources), beam, 0, dtype=torch.long)
        self.best = [(-float("inf"), [])] * len(sources)

    def candidates(self, length):
        """Totals, rows and tokens [B, 2K] of the best continuations, best first."""
        last = self.tokens[:, :, -1].flatten() if length > 0 else torch.full((self.total.numel(),), self.start)
        logits, self.caches = self.model.step(last, length, self.caches, self.cross, self.mask)
        logprobs = logits.float().log_softmax(1).view(*self.total.shape, -1)
        logprobs[:, :, self.banned] = -torch.inf
        forced = length + 1 >= self.limit
        if forced.any():
            ends = logprobs[forced][:, :, self.eos].clone()
            logprobs[forced] = -torch.inf
            logprobs[forced, :, self.eos] = ends
        totals = self.total[:, :, None] + logprobs
        size = totals.shape[2]
        count = 1 if self.beam == 1 else min(2 * self.beam, size)
        totals, at = totals.flatten(1).topk(count)
        return totals, at // size, at % size

    def finish(self, totals, rows, tokens, length):
        for b, c in (tokens == self.eos).nonzero().tolist():
            score = totals[b, c].item() / (length + 1)
            if score > self.best[self.place[b]][0]:
                self.best[self.place[b]] = (score, self.tokens[b, rows[b, c]].tolist())

    def grow(self, totals, rows, tokens):
        """The first K continuations that do not end live on."""
        totals = totals.masked_fill(tokens == self.eos, -torch.inf)
        order = (tokens == self.eos).int().sort(dim=1, stable=True).indices[:, :self.beam]
        self.total, rows, tokens = (x.gather(1, order) for x in (totals, rows, tokens))
        before = self.tokens.gather(1, rows[:, :, None].expand(-1, -1, self.tokens.shape[2]))
        self.tokens = torch.cat((before, tokens[:, :, None]), 2)
        return rows

    def keep(self, rows, length):
        """Moves the caches, without the sentences that are done."""
        bound = self.total.max(1).values / self.limit
        scores = torch.tensor([self.best[p][0] for p in self.place], dtype=torch.float64)
        going = (~(scores >= bound)).nonzero()[:, 0]
        going = going[self.total[going].max(1).values > -torch.inf]
        self.place = [self.place[i] for i in going.tolist()]
        old = (going[:, None] * self.beam + rows[going]).flatten()
        self.caches = [(k[old], v[old]) for k, v in self.caches]
        if len(going) < len(rows):
            first = (going[:, None] * self.beam + torch.arange(self.beam)).flatten()
            self.cross = [(k[first], v[first]) for k, v in self.cross]
            self.mask, self.limit = self.mask[first], self.limit[going]
            self.total, self.tokens = self.total[going], self.tokens[going]

    def run(self):
        length = 0
        while self.place:
            totals, rows, tokens = self.candidates(length)
            self.finish(totals, rows, tokens, length)
            rows = self.grow(totals, rows, tokens)
            length += 1
            self.keep(rows, length)
        return [ids for _, ids in self.best]


@torch.no_grad()
def translate(model, vocabularies, lines, beam=4, batch_tokens=2048):
    """One translation a line."""
    source, target = vocabularies
    model.eval()
    rows = [row + [source.eos] for row in source.encode(lines)]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    texts, at = [""] * len(rows), 0
    while at < len(order):
        count = max(1, batch_tokens // len(rows[order[at]]))
        batch = order[at:at + count]
        for i, ids in zip(batch, Beam(model, target, [rows[i] for i in batch], beam).run()):
            texts[i] = target.decode(ids)
        at += count
    return texts
