"""Writes docs/documented-runs.md: what five people documented, beside what the reports in a folder measured."""

import json
import pathlib
import sys

# By lab: the question of the run, and what was documented.
RUNS = [
    ("c1000k-reactor", "One reactor, 100 ports, two clients",
     "1,000,000 held; server 2.6 GB more, each client 1.2 GB more"),
    ("c1000k-reactor-stock", "The same with stock tcp_rmem and tcp_wmem",
     "open: the tiny buffers are said to save memory"),
    ("c1000k-reactor-death", "On past the million with 6 GiB for the server",
     "the out-of-memory killer ended the server at 1,150,000"),
    ("eleven-adjustments", "From a stock machine's limits to a million",
     "1,000,000 after eleven adjustments"),
    ("four-machines-conntrack", "Three clients behind NAT, nf_conntrack_max 65,535",
     "connects hung and timed out, without an error"),
    ("four-machines", "The same with room for all", "1,020,000"),
    ("virtual-router", "One port behind a router that translates, until it breaks",
     "to be found out: at how many it dies"),
    ("forty-addresses-missing", "One port, 40 addresses, an accept queue of 128",
     "399,300 of 400,000; why some hundreds are always missing stayed open"),
    ("forty-addresses", "The same with a queue that is long enough", "997,000 of 1,000,000"),
]

HEAD = """<!-- Written by `ci/documented` from the reports of its runs. Run it again, do not change this page. -->
# The documented runs

Five people wrote down how they reached, or missed, a million connections. Each is a lab in `labs/`; this page has what
they documented beside what `ci/documented` measured. On machines with the documented hardware: `ci/vagrant`.

| Lab | What it is | Documented | Established | Verdict | Ramp | B per connection, server + clients |
| --- | --- | --- | ---: | --- | ---: | ---: |
"""


def load(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def grouped(number):
    return f"{number:,}"


def side(report, name):
    parts = [report[name][f"{part}_bytes_per_connection"] for part in ("user", "kernel")]
    return None if None in parts else sum(parts)


def memory(report):
    sides = [side(report, name) for name in ("server", "clients")]
    return "–" if None in sides else " + ".join(f"{bytes:,.0f}" for bytes in sides)


def row(name, what, documented, folder):
    ladder = load(folder / name / "ladder.json")
    report = load(folder / name / "report.json")
    if ladder:
        steps, last = len(ladder["rungs"]), ladder["rungs"][-1]
        end = "reached" if ladder["end"] == "reached" else ladder["end"]
        return f"| {name} | {what} | {documented} | {grouped(last['reached'])} | {end} in {steps} steps, below | – | – |"
    if not report:
        return f"| {name} | {what} | {documented} | not run | – | – | – |"
    verdicts = ", ".join(f"{v['cause']} ({grouped(v['connections'])})" for v in report["verdicts"]) or "none missing"
    stood = report["established"]
    shown = grouped(report["breaks_at"]) + " when the first was missing" if report["breaks_at"] is not None else \
        f"{grouped(stood)} of {grouped(report['asked'])}" + (
            f", {grouped(report['server']['accepted'])} accepted" if report["server"]["accepted"] != stood else "")
    ramp = report["seconds"]["ramp"]
    return (f"| {name} | {what} | {documented} | {shown} | {verdicts} | "
            f"{'–' if ramp is None else f'{ramp:.1f} s'} | {memory(report)} |")


def rungs(folder):
    ladder = load(folder / "eleven-adjustments" / "ladder.json")
    if not ladder:
        return ""
    lines = ["\n## The ladder of eleven-adjustments\n",
             "`c1m-lab climb labs/eleven-adjustments.yaml`: each step's limit is a verdict, each remedy what the verdict says.\n",
             "| Step | Limit | Connections | Symptom | Remedy |", "| ---: | --- | ---: | --- | --- |"]
    for step, rung in enumerate(ladder["rungs"], 1):
        remedy = ", ".join(f"`{change['path']}: {change['value']}`" for change in rung["remedy"])
        lines.append(f"| {step} | {rung['limit'] or 'none'} | {grouped(rung['reached'])} | {rung['symptom']} | {remedy} |")
    return "\n".join(lines) + "\n"


def evidence(folder):
    lines = ["\n## What was seen\n"]
    for name, _, _ in RUNS:
        report = load(folder / name / "report.json")
        for verdict in (report or {}).get("verdicts", []):
            lines.append(f"- **{name}**, {verdict['cause']}: " + "; ".join(verdict["evidence"]) + ".")
    return "\n".join(lines) + "\n" if len(lines) > 1 else ""


def saved(folder):
    tiny, stock = (load(folder / name / "report.json") for name in ("c1000k-reactor", "c1000k-reactor-stock"))
    if not tiny or not stock:
        return ""
    return ("\n## Do tiny tcp_rmem and tcp_wmem save memory?\n\n"
            f"Bytes per idle connection, server + clients: {memory(tiny)} with them, {memory(stock)} without. "
            "An idle connection has no buffers: the settings bound what a connection may queue, and nothing is queued.\n")


folder = pathlib.Path(sys.argv[1])
page = HEAD + "\n".join(row(*run, folder) for run in RUNS) + "\n" + saved(folder) + rungs(folder) + evidence(folder)
sys.stdout.write(page)
