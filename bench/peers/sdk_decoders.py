"""The vendors' own decoders, timed in the peers' environment.

Control protocol, one JSON object a line, each answered by one: `{"sdk": "kiteconnect"}` says whether that decoder is
here: `{"missing": null}`, or why it is not. With `"frame": <hex>, "window_s": 0.2` it decodes the frame for so long and
answers with `{"us": <CPU time of one frame>}`.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

Decode = Callable[[Any], object]


def kiteconnect() -> Decode:
    """Zerodha: what its ticker calls for every binary frame; a list of dictionaries."""
    from kiteconnect import KiteTicker  # noqa: PLC0415 - only where it is asked for

    return KiteTicker("key", "token")._parse_binary  # noqa: SLF001 - the SDK has no public decoder


def smartapi() -> Decode:
    """Angel: one packet to a dictionary.

    Its package asks a website for our address when it is imported, so the module is loaded by itself; and it is made
    without its constructor, which writes a log file.
    """
    package = find_spec("SmartApi")
    if package is None or not package.submodule_search_locations:
        raise ImportError("No module named 'SmartApi'")
    file = Path(package.submodule_search_locations[0]) / "smartWebSocketV2.py"
    spec = spec_from_file_location("smartWebSocketV2", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return object.__new__(module.SmartWebSocketV2)._parse_binary_data  # noqa: SLF001 - the SDK has no public decoder


def dhanhq() -> Decode:
    """Dhan: one packet to a dictionary. Made without its constructor, which wants an account."""
    from dhanhq.marketfeed import MarketFeed  # noqa: PLC0415 - only where it is asked for

    return object.__new__(MarketFeed).process_data


def upstox() -> Decode:
    """Upstox: what its streamer does with each message, protobuf to a dictionary."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - only where it is asked for
    from upstox_client.feeder.proto.MarketDataFeedV3_pb2 import FeedResponse  # noqa: PLC0415 - the same

    return lambda frame: MessageToDict(FeedResponse.FromString(frame))


SDKS: dict[str, Callable[[], Decode]] = {
    "kiteconnect": kiteconnect,
    "smartapi-python": smartapi,
    "dhanhq": dhanhq,
    "upstox-python-sdk": upstox,
}
"""A line for each SDK, by its distribution's name; to be called once."""


def frame_us(decode: Decode, frame: bytes | str, window_s: float) -> float:
    """Microseconds of CPU that one frame takes, over a window; garbage is collected as in a feed's life."""
    frames, began = 0, time.process_time()
    while (spent := time.process_time() - began) < window_s:
        for _ in range(100):
            decode(frame)
        frames += 100
    return spent / frames * 1e6


def main() -> None:
    """Answer until the input ends."""
    ready: dict[str, Decode] = {}
    for line in sys.stdin:
        command = json.loads(line)
        name = command["sdk"]
        try:
            decode = ready[name] if name in ready else ready.setdefault(name, SDKS[name]())
        except ImportError as exc:
            answer: dict[str, object] = {"missing": str(exc)}
        else:
            answer = {"missing": None}
            if "frame" in command:
                answer = {"us": frame_us(decode, bytes.fromhex(command["frame"]), command["window_s"])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
