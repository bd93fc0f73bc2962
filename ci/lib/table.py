"""The table of ci/anywhere: one line for each form, from its report, or why there is none."""

import json
import pathlib
import sys

folder, forms = pathlib.Path(sys.argv[1]), sys.argv[2:]
HEAD = ["form", "established", "failed", "lost", "per second", "bytes each", "seconds", "verdicts"]


def grouped(value):
    return "-" if value is None else f"{value:,.0f}"


def bytes_each(report):
    """What a connection cost on both sides, kernel and processes together."""
    parts = [
        report[side][f"{part}_bytes_per_connection"]
        for side in ("server", "clients")
        for part in ("kernel", "user")
    ]
    return None if None in parts else sum(parts)


def line(form):
    code, milliseconds = (folder / f"{form}.code").read_text().split()
    told = (folder / f"{form}.log").read_text().strip().splitlines() or ["it said nothing"]
    if code == "77":
        return [form, f"left out: {told[-1]}"]
    try:
        report = json.loads((folder / f"{form}.json").read_text())
    except (OSError, ValueError):
        why = next((text for text in told if text.startswith("error")), told[-1])
        return [form, f"no report, exit code {code}: {why}"]
    return [
        form,
        f"{grouped(report['established'])} of {grouped(report['asked'])}",
        grouped(report["failed"]["total"]),
        grouped(report["lost"]["total"]),
        grouped(report["rate_per_second"]),
        grouped(bytes_each(report)),
        f"{int(milliseconds) / 1000:.1f}",
        ", ".join(verdict["cause"] for verdict in report["verdicts"]) or "none",
    ]


rows = [HEAD] + [line(form) for form in forms]
full = [row for row in rows if len(row) == len(HEAD)]
widths = [max(len(row[column]) for row in full) for column in range(len(HEAD))]
widths[0] = max(len(row[0]) for row in rows)
for row in rows:
    print(" " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip())
