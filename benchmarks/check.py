"""What `stepscope check` finds in the corpus

Every script of ``benchmarks/bugs`` is checked as a process of its own, with the defaults of
``stepscope check``. A bug counts as found where its rule names one of the lines that are marked for
it; a false alarm is any other finding (but for those that the index calls inherent: a true
consequence of the bug). The findings are compared with those of the reloaded record. The time is
that of the check beside that of the script alone, for every eighth script. ``--quick`` takes every
tenth script and writes nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "bugs"
TABLE = Path(__file__).parents[1] / "docs" / "check-corpus.md"
EVIDENCES = ("proof", "strong", "hint")
#: Which scripts are timed alone as well, and how many are checked at a time.
TIMED, TOGETHER = 8, 2


@dataclass
class Result:
    """What the check of one script came to."""

    script: str
    entry: dict[str, Any]
    findings: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""
    seconds: float = 0.0
    alone: float | None = None

    @property
    def expected(self) -> str | None:
        return self.entry.get("rule")

    @property
    def found(self) -> dict[str, Any] | None:
        """The finding that names the bug, on a line that is marked for it."""
        lines = self.entry.get("lines", [])
        return next((f for f in self.findings if f["rule"] == self.expected and f["line"] in lines), None)

    @property
    def others(self) -> list[dict[str, Any]]:
        """Findings of rules that nothing in the index calls for."""
        called_for = {self.expected, *self.entry.get("inherent", [])}
        return [f for f in self.findings if f["rule"] not in called_for]


def run(*, quick: bool) -> None:
    """Check every script and print the tables."""
    chosen = [
        (kind, entry)
        for kind in ("buggy", "correct")
        for entry in json.loads((CORPUS / kind / "INDEX.json").read_text(encoding="utf-8"))
    ][:: 10 if quick else 1]
    with ThreadPoolExecutor(TOGETHER) as pool:
        results = list(
            pool.map(_check, *zip(*((k, e, n % TIMED == 0) for n, (k, e) in enumerate(chosen)), strict=True))
        )
    buggy = [r for r in results if r.expected]
    text = "\n".join([_recall(buggy), "", _alarms(results), "", _time(results)])
    print(text, flush=True)
    for result in results:
        for line in _details(result):
            print(f"- `{result.script}`: {line}", flush=True)
    if not quick:
        TABLE.write_text(f"<!-- written by python -m benchmarks check -->\n\n{text}\n", encoding="utf-8")


def _check(kind: str, entry: dict[str, Any], timed: bool) -> Result:  # noqa: FBT001  # mapped over
    path = CORPUS / kind / entry["script"]
    result = Result(f"{kind}/{entry['script']}", entry)
    with tempfile.TemporaryDirectory() as folder:
        report, record = Path(folder, "report.json"), Path(folder, "record")
        options = ["check", "--format", "json", "--output", report, "--record", record, path]
        began = time.perf_counter()
        done = _run(["-m", "stepscope", *options], entry["ranks"], Path(folder, "checked"))
        result.seconds = time.perf_counter() - began
        if not report.exists():
            result.trouble = f"no report (exit code {done.returncode}): {done.stderr.strip()[-300:]}"
            return result
        told = json.loads(report.read_text(encoding="utf-8"))
        result.findings = [f for f in told["findings"] if f["path"] is None or Path(f["path"]).name == path.name]
        result.trouble = _trouble(told, record)
        if timed and entry["ranks"] == 1 and told["ended"]["how"] == "finished":
            began = time.perf_counter()
            _run([path], 1, Path(folder, "alone"))
            result.alone = time.perf_counter() - began
    return result


def _trouble(told: dict[str, Any], record: Path) -> str:
    """What went wrong besides: a rule or a part of the watch that failed, or another verdict from the record."""
    import stepscope
    from stepscope import rules
    from stepscope.checking.engine import judge

    if told["defects"]:
        return f"rules failed: {told['defects']}"
    if any('"event":"defect"' in p.read_text(encoding="utf-8") for p in record.glob("events-*.jsonl")):
        return "a part of the watch failed"
    again = judge(stepscope.load(record), rules.all_rules()).findings
    if [(f.rule, f.line, f.message) for f in again] != [(f["rule"], f["line"], f["message"]) for f in told["findings"]]:
        return "the reloaded record gives other findings"
    return ""


def _run(command: list[str | Path], ranks: int, folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    launch = [
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={ranks}",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=127.0.0.1:0",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, *(launch if ranks > 1 else []), *map(str, command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _recall(buggy: list[Result]) -> str:
    """How many of the bugs were found, by the strongest evidence that their rule may claim."""
    from stepscope import rules

    lines = [
        "| the rule may claim | scripts | found | share | claimed proof / strong / hint |",
        "|---|---|---|---|---|",
    ]
    for evidence in (*EVIDENCES, "any"):
        of = [r for r in buggy if evidence in {"any", rules.get(r.expected or "").RULE.evidence}]
        found = [r.found for r in of if r.found]
        claimed = Counter(f["evidence"] for f in found)
        part = f"{100 * len(found) / len(of):.1f} %" if of else "-"
        told = " / ".join(str(claimed[e]) for e in EVIDENCES)
        lines.append(f"| {evidence} | {len(of)} | {len(found)} | {part} | {told} |")
    return "\n".join(lines)


def _alarms(results: list[Result]) -> str:
    """How many findings nothing calls for, in buggy and in correct scripts."""
    lines = ["| scripts | number | false alarms: proof | strong | hint |", "|---|---|---|---|---|"]
    for kind in ("correct", "buggy"):
        of = [r for r in results if r.script.startswith(kind)]
        told = Counter(f["evidence"] for r in of for f in r.others)
        lines.append(f"| {kind} | {len(of)} | {' | '.join(str(told[e]) for e in EVIDENCES)} |")
    return "\n".join(lines)


def _time(results: list[Result]) -> str:
    alone = [r for r in results if r.alone is not None]
    more = statistics.median(r.seconds - (r.alone or 0) for r in alone) if alone else 0.0
    every = statistics.median(r.seconds for r in results)
    bare = statistics.median(r.alone or 0 for r in alone) if alone else 0.0
    return (
        f"A check takes {every:.1f} s (median of {len(results)} scripts, {TOGETHER} at a time); {more:.1f} s more than "
        f"the {bare:.1f} s of the script alone (median of {len(alone)} that both ran to their end)."
    )


def _details(result: Result) -> list[str]:
    """What a person who works on the rules wants to see."""
    details = [result.trouble] if result.trouble else []
    if result.expected and not result.found:
        near = [f["line"] for f in result.findings if f["rule"] == result.expected]
        details.append(f"{result.expected} missed" + (f" (told on line {near[0]})" if near else ""))
    details += [f"false alarm: {f['rule']} ({f['evidence']}), line {f['line']}" for f in result.others]
    return details
