"""What plots in SVG have in common: colours, round numbers on an axis, text. Nothing but Python."""
import math

COLOURS = ["#1f5fa8", "#c04a1a", "#2e8b57", "#7a4fa3", "#8a6d1f", "#444444"]


def ticks(low, high, most=6):
    """Round numbers from low to high."""
    span = high - low or abs(high) or 1
    step = 10 ** math.floor(math.log10(span / most))
    step = next(step * m for m in (1, 2, 5, 10) if span / (step * m) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round((first + i) * step, 12) for i in range(int((high - first * step) / step + 1e-9) + 1)]


def log_ticks(low, high):
    """1, 2, 5, 10, ... from low to high; where that is too many, powers of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0 ** p for p in powers for m in (1, 2, 5) if low <= m * 10.0 ** p <= high]
    coarse = [10.0 ** p for p in powers if low <= 10.0 ** p <= high]
    return fine if len(fine) <= 8 or len(coarse) < 2 else coarse


def escape(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def document(width, height, title, left, body):
    """A whole file; body: its elements, a line each."""
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
            f'font-size="12">')
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>',
                      f'<text x="{left}" y="24" font-size="15">{escape(title)}</text>'] + body + ["</svg>", ""])
