"""What it costs to make ticks of a broker's frames, here and in the vendor's own SDK."""

from contextlib import ExitStack
from statistics import median

from bench.decoder_cases import CASES, Case
from bench.peers.sdk_decoders import frame_us
from bench.processes import Process, started
from bench.questions.asking import Options, say
from bench.report import Answer
from bench.systems import PEER_PYTHON, PEER_VENV, PEERS

_REPEATS_A_RUN = 5
_WINDOW_S = 0.2


def packets_to_ticks(options: Options) -> Answer:
    """Microseconds from a broker's packet to a tick, beside the vendor's SDK."""
    answer = Answer(
        "decoding",
        "from a packet to a tick (with its depth, where the packet has one)",
        ("packet", "bytes", "tickhub µs", "SDK µs", "times faster", "ticks/s and core"),
    )
    answer.notes.append(
        f"CPU time, garbage collection on; medians of {options.runs * _REPEATS_A_RUN} windows of {_WINDOW_S:g} s,"
        " in which both took turns"
    )
    cases = [case for make in CASES for case in make()]
    with ExitStack() as stack:
        peers = _peers(stack, answer, {case.sdk for case in cases if case.sdk})
        for case in cases:
            say(case.title)
            _measure(case, peers.get(case.sdk or ""), options.runs * _REPEATS_A_RUN, answer)
    return answer


def _peers(stack: ExitStack, answer: Answer, names: set[str]) -> dict[str, Process]:
    """The process that has each SDK; those that are not installed are named in the answer."""
    if not PEER_PYTHON.exists():
        answer.notes.append(f"SKIPPED all SDKs: there is no {PEER_VENV.name}; `make bench` makes it")
        return {}
    command = [str(PEER_PYTHON), str(PEERS / "sdk_decoders.py")]
    process = stack.enter_context(started("sdk_decoders", command))
    missing = {name: process.ask(sdk=name)["missing"] for name in sorted(names)}
    answer.notes += [f"SKIPPED {name}: {reason}" for name, reason in missing.items() if reason]
    return {name: process for name, reason in missing.items() if not reason}


def _measure(case: Case, peer: Process | None, repeats: int, answer: Answer) -> None:
    decode = case.decode()
    if not decode(case.frame).updates:
        raise ValueError(f"{case.title}: the frame makes no ticks")
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(frame_us(decode, case.frame, _WINDOW_S) / case.packets)
        if peer is not None and isinstance(case.frame, bytes):
            told = peer.ask(sdk=case.sdk, frame=case.frame.hex(), window_s=_WINDOW_S)
            theirs.append(told["us"] / case.packets)
    our_us, their_us = median(ours), median(theirs) if theirs else None
    times = their_us / our_us if their_us else None
    answer.rows.append((case.title, len(case.frame) // case.packets, our_us, their_us, times, round(1e6 / our_us)))
    answer.samples.append({"case": case.title, "tickhub_us": ours, "sdk_us": theirs})
    if case.most_us is not None:
        answer.target(f"{case.title} in at most {case.most_us:g} µs: {our_us:.2f}", reached=our_us <= case.most_us)
    if case.times_faster is not None and times is not None:
        answer.target(
            f"{case.title} at least {case.times_faster:g} times as fast as {case.sdk}: {times:.1f}",
            reached=times >= case.times_faster,
        )
