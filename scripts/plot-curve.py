#!/usr/bin/env python3
"""Draws how a training run went: metrics.jsonl -> SVG and CSV. Needs nothing but Python.

usage: plot-curve.py METRICS.jsonl [METRICS.jsonl ...] [--svg FILE] [--csv FILE] [--title TEXT]
                     [--metric NAME ...]

--metric  what to draw, each in a panel of its own: a name such as loss, or lr, which is taken from
          validation where it is there and from training as well (default: loss and whatever else
          validation measured). Several files are drawn in one panel, in different colours.
--csv     update, event and every number of the first file, a row a line of it
"""
import argparse
import csv
import json
import math
import os
import sys

sys.dont_write_bytecode = True

from svg_axes import COLOURS, document, escape, ticks  # noqa: E402

WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 240, 64, 36, 44
NOT_DRAWN = {"update", "seconds", "time", "seed"}


def read(path):
    """Lines of one run; when it was resumed, what came after the checkpoint it went on from is dropped."""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                update = row["update"]
            except (ValueError, KeyError, TypeError):
                sys.exit(f"plot-curve: {path}:{number}: expected a JSON object with an update")
            if row.get("event") in ("start", "resume"):
                rows = [old for old in rows if old["update"] <= update]
            rows.append(row)
    if not rows:
        sys.exit(f"plot-curve: {path} is empty")
    return rows


def points(rows, event, metric):
    found = [(r["update"], r[metric]) for r in rows
             if r.get("event") == event and isinstance(r.get(metric), (int, float))]
    return [(x, y) for x, y in found if math.isfinite(y)]


def panel(top, metric, curves):
    """One metric: axes, grid, a line for each curve (label, event, points, colour)."""
    everything = [p for curve in curves for p in curve[2]]
    low_x, high_x = 0, max(x for x, _ in everything) or 1
    values = sorted(y for _, y in everything)
    low_y, high_y = values[0], values[-1]
    if metric in ("loss", "nll", "perplexity"):
        high_y = min(high_y, 4 * values[len(values) // 2])  # the first updates would flatten the rest
    if low_y == high_y:
        low_y, high_y = low_y - 0.5, high_y + 0.5

    def at(x, y):
        y = min(max(y, low_y), high_y)
        return (LEFT + WIDTH * (x - low_x) / (high_x - low_x), top + HEIGHT * (high_y - y) / (high_y - low_y))

    out = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{escape(metric)}</text>']
    for value in ticks(low_y, high_y):
        y = at(0, value)[1]
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" y2="{y:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(low_x, high_x):
        x = at(value, low_y)[0]
        out.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{value:g}</text>')
    out.append(f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888888"/>')
    for i, (label, event, line, colour) in enumerate(curves):
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in line)
        faint = ' stroke-opacity="0.45"' if event == "train" else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{faint}/>')
        if event == "valid":
            out.extend('<circle cx="{:.1f}" cy="{:.1f}" r="2" fill="{}"/>'.format(*at(x, y), colour) for x, y in line)
        out.append(f'<text x="{LEFT + WIDTH - 8}" y="{top + 16 + 14 * i}" text-anchor="end" fill="{colour}"'
                   f'{faint.replace("stroke", "fill")}>{escape(label)}</text>')
    return out


def draw(runs, metrics, title):
    body, top = [], TOP + 24
    for metric in metrics:
        curves = []
        for index, (name, rows) in enumerate(runs):
            for event in ("train", "valid"):
                line = points(rows, event, metric)
                if line:
                    label = event if len(runs) == 1 else f"{name}, {event}"
                    curves.append((label, event, line, COLOURS[index % len(COLOURS)]))
        if curves:
            body += panel(top, metric, curves)
            top += HEIGHT + GAP
    if not body:
        sys.exit("plot-curve: there is nothing to draw of: " + ", ".join(metrics))
    body.append(f'<text x="{LEFT + WIDTH / 2}" y="{top - 8}" text-anchor="middle">updates</text>')
    return document(LEFT + WIDTH + 24, top + 8, title, LEFT, body)


def write_csv(path, rows):
    columns = ["update", "event"]
    for row in rows:
        columns += [key for key in row if key not in columns]
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].rsplit("\n\n", 2)[0], description="")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--svg")
    parser.add_argument("--csv")
    parser.add_argument("--title", default="training")
    parser.add_argument("--metric", action="append")
    arguments = parser.parse_args()
    try:
        runs = [(os.path.basename(os.path.dirname(os.path.abspath(path))), read(path)) for path in arguments.files]
        metrics = arguments.metric
        if not metrics:
            measured = [key for row in runs[0][1] if row.get("event") == "valid"
                        for key in row if key not in NOT_DRAWN and key != "event"]
            metrics = list(dict.fromkeys(["loss"] + measured))
        if arguments.csv:
            write_csv(arguments.csv, runs[0][1])
        if arguments.svg:
            picture = draw(runs, metrics, arguments.title)
            with open(arguments.svg, "w", encoding="utf-8") as out:
                out.write(picture)
        if not arguments.svg and not arguments.csv:
            parser.error("expected --svg FILE or --csv FILE")
    except OSError as error:
        sys.exit(f"plot-curve: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
