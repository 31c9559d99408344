"""One check from its start to its exit code."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from stepscope.cli.launching import Ended, is_first_rank
from stepscope.errors import StepscopeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepscope.checking.finding import Finding
    from stepscope.checking.outcome import Ending, Outcome
    from stepscope.checking.suppression import Comment
    from stepscope.cli.output import Report
    from stepscope.launch.target import Target
    from stepscope.observe.watch import Watch

#: Exit codes; ``UNCHECKED`` is also that of wrong usage.
CLEAN, FOUND, UNCHECKED, FAILED, INTERRUPTED = 0, 1, 2, 3, 130

#: How long other ranks, and threads of a script that was ended in its midst, are waited for, in seconds.
_PATIENCE = 30.0
_GLANCE = 0.05


@dataclass
class Check:
    """A script that is run, judged by the rules ``asked``, and reported on."""

    target: Target
    watch: Watch
    report: Report
    form: str
    asked: Sequence[str]
    shown_as: str
    root: str
    verbose: bool
    ended: Ended = field(default_factory=Ended)
    _concluding: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> BaseException | int:
        """Run the script to its end and report; the exit code, or what ends a forked child of the script."""
        from stepscope.launch import runner

        self.watch.start()
        self.report.open()
        error = runner.run(self.target, self.ended.note)
        if self.watch.in_child:
            return error if error is not None else 0
        try:
            code = self._finish(error)
        except KeyboardInterrupt:
            self.watch.stop("interrupted")
            print(f"stepscope: interrupted; the record is in {self.watch.folder}", file=sys.stderr)
            code = INTERRUPTED
        if not self._is_alone:
            _leave(code)  # a process group that the script has left open may abort in C++ when Python ends
        return code

    @property
    def _is_alone(self) -> bool:
        return _number("WORLD_SIZE") == 1

    @property
    def _was_stopped(self) -> bool:
        return self.watch.stopper is not None and self.watch.stopper.stopped

    def _finish(self, error: BaseException | None) -> int:
        """End the script as Python would; then judge and report."""
        from stepscope.launch import runner

        if self._was_stopped and self.ended.reason != "interrupted":
            error = None  # whatever came of it came of our ending it
            patience = threading.Timer(_PATIENCE, self._leave_threads)
            patience.daemon = True
            patience.start()
        runner.wind_down(error, self.target)
        return self._conclude()

    def _leave_threads(self) -> None:
        """A thread of the script that was ended in its midst waits for something that will not come."""
        print("stepscope: threads of the script are still waiting; left alone", file=sys.stderr)
        _leave(self._conclude())

    def _conclude(self) -> int:
        """End the record; judge and report, if this is the first rank."""
        if not self._concluding.acquire(blocking=False):
            time.sleep(_PATIENCE)  # the other thread that came here ends the process
        if self._was_stopped and self.ended.reason != "interrupted":
            self.ended.note("stopped", "")
        self.watch.stop(self.ended.reason, self.ended.message)
        if not is_first_rank():
            return CLEAN  # the launcher ends all ranks at the first exit code that is not 0
        try:
            outcome = self._judge(self._wait_for_others())
            self.report.write(lambda to_terminal: self._lower(outcome, to_terminal=to_terminal))
        except StepscopeError as problem:
            print(f"stepscope: {problem}", file=sys.stderr)
            return UNCHECKED
        except Exception as defect:  # noqa: BLE001  # ours: it must not look like a finding, whose exit code is 1
            traceback.print_exception(defect)
            print(f"stepscope: a defect of stepscope; the record is in {self.watch.folder}", file=sys.stderr)
            return UNCHECKED
        return _code(outcome)

    def _wait_for_others(self) -> list[int]:
        """Wait until the records of the other ranks on this machine have ended; those that have not in time."""
        from stepscope.record.store import has_ended

        waiting = list(range(1, _number("LOCAL_WORLD_SIZE", "WORLD_SIZE")))
        deadline = time.monotonic() + _PATIENCE
        while waiting and time.monotonic() < deadline:
            waiting = [rank for rank in waiting if not has_ended(self.watch.folder, rank)]
            time.sleep(_GLANCE if waiting else 0)
        return waiting

    def _judge(self, absent: list[int]) -> Outcome:
        """Ask the rules, and part what they found by the comments in the source."""
        import msgspec

        from stepscope import rules
        from stepscope.checking.engine import judge
        from stepscope.checking.explanation import explain
        from stepscope.checking.outcome import Outcome
        from stepscope.checking.suppression import wave_off

        run = self.watch.run
        verdict = judge(run, {name: rules.get(name) for name in self.asked})
        waved = wave_off(verdict.findings, self._comments(verdict.findings))
        return Outcome(
            script=self.shown_as,
            path=self.target.path,
            record=str(self.watch.folder),
            root=self.root,
            verdict=msgspec.structs.replace(verdict, findings=waved.left),
            ended=self._ending(),
            message=self._message(),
            asked=list(self.asked),
            suppressed=waved.suppressed,
            ranks=run.info.ranks,
            absent=absent,
            explanations={f.rule: explain(f.rule, rules.get(f.rule)) for f in verdict.findings},
        )

    def _comments(self, findings: Sequence[Finding]) -> dict[str, list[Comment]]:
        """The comments in all files that are found fault with; what is wrong with them is said aloud."""
        from stepscope import rules
        from stepscope.checking.selection import unknown
        from stepscope.checking.suppression import comments_in

        paths = dict.fromkeys([self.target.path, *(finding.path for finding in findings if finding.path)])
        comments = {path: comments_in(path) for path in paths}
        names = rules.names()
        for path, found in comments.items():
            for comment in found:
                here = f"{path}:{comment.line}: `# stepscope: ignore`"
                if not comment.is_closed:
                    print(f"stepscope: {here} names no rule in its brackets, or does not close them", file=sys.stderr)
                for name in comment.rules:
                    if name not in names:
                        print(f"stepscope: {here}: {unknown(name, names)}", file=sys.stderr)
        return comments

    def _ending(self) -> Ending:
        if self.ended.reason == "stopped":
            return "stopped"
        if self.ended.reason == "interrupted":
            return "interrupted"
        return "failed" if self.ended.reason == "exception" or self.ended.message else "finished"

    def _message(self) -> str:
        if self.ended.reason == "exit" and self.ended.message:
            return (
                f"exit code {self.ended.message}" if self.ended.message.lstrip("-").isdecimal() else self.ended.message
            )
        return self.ended.message

    def _lower(self, outcome: Outcome, *, to_terminal: bool) -> str:
        if self.form == "text":
            from stepscope.cli.output import screen
            from stepscope.render.findings.text import render

            room = screen(to_terminal=to_terminal)
            return render(outcome, width=room["width"], color=room["color"], verbose=self.verbose)
        import importlib

        renderer = importlib.import_module(f"stepscope.render.findings.{self.form}")
        return str(renderer.render(outcome))


def _code(outcome: Outcome) -> int:
    if outcome.ended == "interrupted":
        return INTERRUPTED
    if outcome.ended == "failed":
        return FAILED
    if outcome.counting:
        return FOUND
    return UNCHECKED if outcome.is_empty else CLEAN


def _number(*variables: str) -> int:
    """The number in the first of these variables that a launcher of several ranks has set; 1 where it set none."""
    said = next((os.environ[name] for name in variables if name in os.environ), "1")
    return int(said) if said.isdecimal() else 1


def _leave(code: int) -> NoReturn:
    """Leave at once, with all that was printed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(code)
