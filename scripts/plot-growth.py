#!/usr/bin/env python3
"""Draws how decoding grows: reports of `lingster bench grow --json` -> SVG, and a table of fitted exponents.

usage: plot-growth.py REPORT.json [REPORT.json ...] [--svg FILE] [--markdown FILE] [--title TEXT]

A file holds one report a line. A panel for each axis, both scales logarithmic: milliseconds a sentence, for batches and training
tokens a second. Several reports are drawn in one panel, named by the numbers they compute in.
"""
import argparse
import json
import math
import sys

sys.dont_write_bytecode = True

from svg_axes import COLOURS, document, escape, log_ticks  # noqa: E402

WIDTH, HEIGHT, LEFT, TOP, GAP_X, GAP_Y, COLUMNS = 280, 190, 56, 64, 76, 66, 2
NAMES = {"length": "length in tokens, source and target", "beam": "beam size", "batch": "sentences at once",
         "vocabulary": "entries of the vocabulary", "threads": "threads", "layers": "decoder layers",
         "width": "width of the model", "update_tokens": "target tokens of an update",
         "update_length": "length in tokens, in training"}
RATES = ("batch", "update_tokens", "update_length")  # drawn as tokens a second


def read(paths):
    reports = []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    report = json.loads(line)
                    if report["workload"] != "grow" or not isinstance(report["curves"], list):
                        raise ValueError
                except (ValueError, KeyError, TypeError):
                    sys.exit(f"plot-growth: {path}:{number}: expected a report of lingster bench grow --json")
                reports.append(report)
    if not reports:
        sys.exit("plot-growth: there is nothing to draw")
    return reports


def label_of(report):
    config, machine = report["config"], report["machine"]
    return f"{config['dtype']}, {machine['instructions'].split(' ')[0] or machine['device']}"


def values(axis, curve):
    """[(x, y)]"""
    if axis in RATES:
        return [(point[axis], point["tokens_per_second"]) for point in curve["points"]]
    return [(point[axis], 1e3 * point["seconds_per_sentence"]) for point in curve["points"]]


def panel(left, top, axis, lines):
    """lines: (label, points, colour)."""
    xs, ys = zip(*(point for line in lines for point in line[1]))
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys) / 1.15, max(ys) * 1.15
    if low_x == high_x:
        high_x = 2 * low_x

    def at(x, y):
        return (left + WIDTH * math.log(x / low_x) / math.log(high_x / low_x),
                top + HEIGHT * math.log(high_y / y) / math.log(high_y / low_y))

    unit = "tokens/s" if axis in RATES else "ms a sentence"
    out = [f'<text x="{left}" y="{top - 8}"><tspan font-weight="bold">{escape(NAMES[axis])}</tspan>: {unit}</text>']
    for value in log_ticks(low_y, high_y):
        y = at(low_x, value)[1]
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in sorted(set(xs)):
        x = at(value, low_y)[0]
        text = f"{value // 1000}k" if value >= 1000 else f"{value}"
        out.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{text}</text>')
    out.append(f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888888"/>')
    for i, (label, points, colour) in enumerate(lines):
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        out.extend('<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>'.format(*at(x, y), colour) for x, y in points)
        rising = lines[0][1][-1][1] > lines[0][1][0][1]  # so that a corner below is free
        x, anchor = (left + WIDTH - 8, "end") if rising else (left + 8, "start")
        y = top + HEIGHT - 8 - 14 * (len(lines) - 1 - i)
        out.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(label)}</text>')
    return out


def axes_of(reports):
    return list(dict.fromkeys(curve["axis"] for report in reports for curve in report["curves"]))


def curves_of(reports, axis):
    return [(report, curve) for report in reports for curve in report["curves"]
            if curve["axis"] == axis and len(curve["points"]) > 1]


def draw(reports, title):
    body, drawn, names = [], 0, list(dict.fromkeys(map(label_of, reports)))
    for axis in axes_of(reports):
        lines = []
        for report, curve in curves_of(reports, axis):
            name = label_of(report)
            text = name if axis in RATES else f"{name}: exponent {curve['fits'][0]['seconds_exponent']:.2f}"
            lines.append((text, values(axis, curve), COLOURS[names.index(name) % len(COLOURS)]))
        if lines:
            left = LEFT + drawn % COLUMNS * (WIDTH + GAP_X)
            body += panel(left, TOP + drawn // COLUMNS * (HEIGHT + GAP_Y), axis, lines)
            drawn += 1
    rows = -(-drawn // COLUMNS)
    return document(LEFT + COLUMNS * (WIDTH + GAP_X), TOP + rows * (HEIGHT + GAP_Y), title, LEFT, body)


def table(reports):
    lines = ["| what grows | from | to | numbers | time | memory |", "|---|---|---|---|---|---|"]
    for axis in axes_of(reports):
        for report, curve in curves_of(reports, axis):
            for fit in curve["fits"]:
                lines.append(f"| {NAMES[axis]} | {fit['from']:g} | {fit['to']:g} | {label_of(report)} | "
                             f"x^{fit['seconds_exponent']:.2f} | x^{fit['bytes_exponent']:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--svg")
    parser.add_argument("--markdown")
    parser.add_argument("--title", default="how decoding grows")
    args = parser.parse_args()
    if not args.svg and not args.markdown:
        parser.error("expected --svg FILE or --markdown FILE")
    try:
        reports = read(args.files)
        for path, text in ((args.svg, lambda: draw(reports, args.title)), (args.markdown, lambda: table(reports))):
            if path:
                with open(path, "w", encoding="utf-8") as out:
                    out.write(text())
    except OSError as error:
        sys.exit(f"plot-growth: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
