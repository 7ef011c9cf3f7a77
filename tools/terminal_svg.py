"""Runs a command on a terminal of its own and draws what it printed: terminal_svg.py OUT.svg COMMAND...

Knows the escapes that enxuto uses: colours, and a line that is drawn over (\\r, erase).
"""
import html
import os
import pty
import re
import sys

COLUMNS, FONT_WIDTH, LINE_HEIGHT, MARGIN = 100, 7.83, 17, 14
STYLES = {"1": "font-weight:bold;fill:#ffffff", "2": "fill:#8b949e", "32": "fill:#56d364",
          "36": "fill:#39c5cf", "1;31": "font-weight:bold;fill:#ff7b72"}


def output_of(command):
    chunks = []

    def read(fd):
        chunks.append(os.read(fd, 1 << 16))
        return chunks[-1]

    os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS))
    os.environ.pop("NO_COLOR", None)
    pty.spawn(command, read)
    return b"".join(chunks).decode(errors="replace")


def final_lines(text):
    """Lines as they stand at the end: what was drawn over is gone."""
    lines = []
    for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"):
        lines.append(line.rsplit("\r", 1)[-1].replace("\033[K", ""))
    return lines


def spans(line):
    """(style, text) pieces of a line."""
    style = ""
    for piece in re.split(r"(\033\[[0-9;]*m)", line):
        if piece.startswith("\033["):
            style = STYLES.get(piece[2:-1], "")
        elif piece:
            yield style, piece


def draw(lines):
    width = max(len("".join(text for _, text in spans(line))) for line in lines)
    width = round(max(width, 60) * FONT_WIDTH + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
           '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
           '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="13" fill="#e6edf3">']
    for i, line in enumerate(lines):
        y, column = MARGIN + (i + 0.8) * LINE_HEIGHT, 0
        for style, text in spans(line):
            x = MARGIN + column * FONT_WIDTH
            length = round(len(text) * FONT_WIDTH, 1)
            if text.strip():
                out.append(f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length}" xml:space="preserve"'
                           f'{f" style={chr(34)}{style}{chr(34)}" if style else ""}>{html.escape(text)}</text>')
            column += len(text)
    return "\n".join(out + ["</g>", "</svg>", ""])


def main():
    lines = final_lines(output_of(sys.argv[2:]))
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write(draw(lines))


main()
