#!/usr/bin/env python3
"""Draws the roof of a GPU over the operations of training and decoding: a calculation from its data sheet.

usage: plot-roofline.py [--gpu NAME] [--svg FILE] [--markdown FILE] [--measured REPORT.json]

The roof is min(peak, intensity * bandwidth) (Williams et al. 2009), peaks as in host/cli/bench_workloads.def (--gpu: what a
name must hold, H200 by default). A product of [rows, in] and [in, out] in bf16 does 2 rows in out operations on
2 (rows in + in out + rows out) bytes, each moved once. Of a decoding step the weights alone are counted, which are read
once however many rows there are: what bounds small batches. --measured: a report of `lingster bench gemm --json`, whose
products are drawn as they ran.
"""
import argparse
import json
import math
import os
import re
import sys

sys.dont_write_bytecode = True

from svg_axes import COLOURS, document, escape, log_ticks  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, HEIGHT, LEFT, TOP = 640, 360, 70, 60
PEAKS = os.path.join(os.path.dirname(HERE), "host", "cli", "bench_workloads.def")
# name: rows, in, out
PRODUCTS = {"decoding, 4 rows": (4, 512, 512), "decoding, 64 rows": (64, 512, 512),
            "decoding, 256 rows, 512 x 2048": (256, 512, 2048), "logits, 256 rows": (256, 512, 32000),
            "training base, 25,000 rows": (25000, 512, 512), "training base, 512 x 2048": (25000, 512, 2048),
            "training big, 1024 x 4096": (25000, 1024, 4096)}
# Of transformer-base: multiplications and additions of a decoder's step and row, and of its logits (32,000 entries).
DECODER, LOGITS = 22.0e6, 16.4e6


def read_peak(name):
    """(name in the table, operations a second in bf16, bytes a second)"""
    with open(PEAKS, encoding="utf-8") as file:
        rows = re.findall(r'^LNG_BENCH_PEAK\("([^"]+)", ([\d.e]+), [\d.e]+, [\d.e]+, ([\d.e]+)\)', file.read(), re.M)
    for part, bf16, gigabytes in rows:
        if name in part:
            return part, float(bf16) * 1e9, float(gigabytes) * 1e9
    sys.exit(f"plot-roofline: there is no {name} among {', '.join(row[0] for row in rows)}")


def intensity(rows, width, out):
    return 2 * rows * width * out / (2 * (rows * width + width * out + rows * out))


def read_measured(path):
    """[(intensity, operations a second)]"""
    points = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                report = json.loads(line)
                if report["workload"] == "gemm":
                    points += [(intensity(row["rows"], row["in"], row["out"]), row["gop_per_second"] * 1e9)
                               for row in report["products"]]
            except (ValueError, KeyError, TypeError):
                sys.exit(f"plot-roofline: {path}:{number}: expected a report of lingster bench gemm --json")
    if not points:
        sys.exit(f"plot-roofline: {path}: there is no report of lingster bench gemm")
    return points


def draw(gpu, peak, bandwidth, measured):
    low_x, high_x, high_y = 0.5, 8000.0, peak * 1.6
    low_y = low_x * bandwidth * 0.4

    def at(x, y):
        return (LEFT + WIDTH * math.log(x / low_x) / math.log(high_x / low_x),
                TOP + HEIGHT * math.log(high_y / y) / math.log(high_y / low_y))

    body = [f'<text x="{LEFT}" y="{TOP - 12}">TFLOP/s over operations a byte; {"dots: measured; " if measured else ""}'
            f'the roof and the rings are calculated, not measured</text>']
    for value in log_ticks(low_y / 1e12, high_y / 1e12):
        y = at(low_x, value * 1e12)[1]
        body.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" y2="{y:.1f}" stroke="#dddddd"/>')
        body.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in (1, 10, 100, 1000):
        x = at(value, low_y)[0]
        body.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{value}</text>')
    corner = peak / bandwidth
    roof = " ".join("{:.1f},{:.1f}".format(*at(x, min(peak, x * bandwidth))) for x in (low_x, corner, high_x))
    body.append(f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888888"/>')
    body.append(f'<polyline points="{roof}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>')
    for x, y in measured:
        body.append('<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>'.format(*at(x, max(y, low_y)), COLOURS[2]))
    for i, (name, product) in enumerate(sorted(PRODUCTS.items(), key=lambda one: intensity(*one[1]))):
        x = intensity(*product)
        left, top = at(x, min(peak, x * bandwidth))
        text = TOP + HEIGHT - 12 - 16 * (len(PRODUCTS) - 1 - i)
        body.append(f'<line x1="{left:.1f}" y1="{top + 5:.1f}" x2="{left:.1f}" y2="{text - 10:.1f}" stroke="#cccccc"/>')
        body.append(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4.5" fill="none" stroke="{COLOURS[1]}" stroke-width="1.6"/>')
        side = "end" if left > LEFT + WIDTH / 2 else "start"
        body.append(f'<text x="{left + (-4 if side == "end" else 4):.1f}" y="{text}" text-anchor="{side}">{escape(name)}: '
                    f'{x:.0f}</text>')
    return document(LEFT + WIDTH + 20, TOP + HEIGHT + 30, f"{gpu}: the roof in bf16, a calculation", LEFT, body)


def table(gpu, peak, bandwidth):
    """Bounds of a decoding step of base: products of all rows, weights read once."""
    lines = [f"Calculated for {gpu}, not measured: {peak / 1e12:.0f} TFLOP/s, {bandwidth / 1e12:.2f} TB/s.", "",
             "| rows of a step | products, us | weights, us | bound, tokens/s greedy |", "|---|---|---|---|"]
    for rows in (1, 4, 64, 256, 512, 1024, 2048):
        work, moved = 2 * (DECODER + LOGITS) * rows / peak, 2 * (DECODER + LOGITS) / bandwidth
        lines.append(f"| {rows} | {1e6 * work:.2f} | {1e6 * moved:.2f} | {rows / max(work, moved):,.0f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", default="H200")
    parser.add_argument("--svg")
    parser.add_argument("--markdown")
    parser.add_argument("--measured")
    args = parser.parse_args()
    if not args.svg and not args.markdown:
        parser.error("expected --svg FILE or --markdown FILE")
    try:
        gpu, peak, bandwidth = read_peak(args.gpu)
        measured = read_measured(args.measured) if args.measured else []
        for path, text in ((args.svg, lambda: draw(gpu, peak, bandwidth, measured)),
                           (args.markdown, lambda: table(gpu, peak, bandwidth))):
            if path:
                with open(path, "w", encoding="utf-8") as out:
                    out.write(text())
    except OSError as error:
        sys.exit(f"plot-roofline: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
