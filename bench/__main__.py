"""The command line: `python -m bench [question …]`, or `make bench`."""

import argparse
import sys
import time
from collections.abc import Sequence

from bench import machine, report
from bench.load import LoadError
from bench.processes import ProcessEndedError
from bench.questions import QUESTIONS, Options
from bench.report import Answer
from bench.smoke import smoke
from bench.systems import HUB, PEER_SYSTEMS, System

_EVERY_PEER = "all"
_NO_PEER = "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer the questions; 1 where one could not be answered, or where the smoke test fails."""
    options = _parser().parse_args(arguments)
    here = machine.describe()
    print(f"# tickhub benchmarks\n\n{machine.sentence(here)}\n")
    if options.questions == ["smoke"]:
        answer = smoke()
        print(answer.text())
        return 0 if all(reached for _, reached in answer.targets) else 1
    peers = _peers(options.peers)
    measuring = Options(runs=options.runs, window_s=options.window, peers=peers)
    answers, failed = _answers(options.questions or list(QUESTIONS), measuring)
    versions = {system.name: system.versions() for system in (HUB, *peers)}
    print(f"\n{machine.sentence(here)}")
    print("\n".join(versions.values()))
    print(f"\nsaved as {report.save(answers, here, versions, failed=failed)}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the hub and its peers on this machine. Without a question, all are answered.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="questions:\n"
        + "\n".join(f"  {name:<12}{_first_line(question.__doc__)}" for name, question in QUESTIONS.items())
        + f"\n  {'smoke':<12}{_first_line(smoke.__doc__)}"
        + "\n\npeers:\n"
        + "\n".join(f"  {system.name:<16}{system.title}" for system in PEER_SYSTEMS),
    )
    parser.add_argument("questions", nargs="*", metavar="question", choices=[*QUESTIONS, "smoke", []], help="see below")
    parser.add_argument("--runs", type=int, default=3, help="how often each set rate is measured (default %(default)s)")
    parser.add_argument("--window", type=float, default=4.0, help="seconds of one measurement (default %(default)s)")
    parser.add_argument("--peers", default=_EVERY_PEER, help="all, none, or names with commas (default %(default)s)")
    return parser


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _peers(wanted: str) -> tuple[System, ...]:
    """The peers that were asked for and can run here; says of each other one why it can't."""
    if wanted == _NO_PEER:
        return ()
    names = {system.name for system in PEER_SYSTEMS} if wanted == _EVERY_PEER else set(wanted.split(","))
    unknown = names - {system.name for system in PEER_SYSTEMS}
    if unknown:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}")
    present = []
    for system in PEER_SYSTEMS:
        if system.name not in names:
            continue
        reason = system.missing()
        if reason is None:
            present.append(system)
        else:
            print(f"SKIPPED {system.title}: {reason}")
    return tuple(present)


def _answers(names: Sequence[str], options: Options) -> tuple[list[Answer], list[str]]:
    """All answers, each printed as soon as it is there; a question that fails does not stop the others."""
    answers, failed = [], []
    for name in names:
        began = time.monotonic()
        try:
            answer = QUESTIONS[name](options)
        except (LoadError, ProcessEndedError) as exc:
            print(f"\nFAILED {name}: {exc}")
            failed.append(name)
            continue
        answers.append(answer)
        print(f"{answer.text()}\n({name} took {time.monotonic() - began:.0f} s)", flush=True)
    return answers, failed


if __name__ == "__main__":
    sys.exit(main())
