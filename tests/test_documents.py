"""What the documents tell readers to type does what they say it does."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.alerting.indicators import CatalogueReader
from hub.api.alert_bodies import AlertBody
from notifiers.conditions.checking import Checked, check, check_text
from notifiers.conditions.options import Options
from notifiers.conditions.plain import plain
from notifiers.conditions.tree import Condition
from notifiers.conditions.words import words
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Firing, Rule
from notifiers.people.preferences import Notifications
from notifiers.people.preferences import check as check_notifications
from notifiers.providers.dlt import Dlt
from notifiers.providers.webhook import signatures
from schemas.market import IST, PRICE_SCALE, Tick
from schemas.secret import Secret
from tests.hub.live import running, token, until
from tests.servers import free_port, redis_binary, redis_cli

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(?:sh)?\n(.*?)```", re.DOTALL)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
READER = CatalogueReader()
WAIT_S = 50
"""How long one step of a document may take, on a machine that is busy with something else."""

pytestmark = pytest.mark.timeout(180)


class Shell:
    """A shell that a reader types into, and all that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")

    async def until(self, *patterns: str) -> None:
        """Returns once each pattern stands in what was printed, in whatever order."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(WAIT_S):
                while not all(re.search(pattern, self.printed, re.MULTILINE) for pattern in patterns):
                    chunk = await self._process.stdout.read(4096)
                    assert chunk, self.printed
                    self.printed += chunk.decode(errors="replace")
        except TimeoutError:
            pytest.fail(f"{patterns} never came; there was:\n{self.printed}")

    def forget(self) -> None:
        self.printed = ""


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "redis-server").symlink_to(redis_binary())
    redis_cli(programs)
    environ = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        "bash",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env=environ,
        start_new_session=True,
    )
    yield Shell(process)
    for pid_file in tmp_path.glob("*.pid"):  # noqa: ASYNC240 - nothing else is going on
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def blocks(name: str, folder: Path, *ports: str) -> list[str]:
    """A document's shell blocks and what it says that they print, with free ports and a folder of this test's own."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for port in ports:
        text = text.replace(port, str(free_port()))
    text = text.replace("/tmp/tickhub-", f"{folder}/").replace("$PWD/.venv/bin:", "")
    return BLOCK.findall(text)


def lines(printed: str) -> list[str]:
    """A document's printed lines as patterns; … stands for anything."""
    return [f"^{re.escape(line).replace('…', '.*')}$" for line in printed.splitlines()]


def until_priced(port: str, symbol: str) -> str:
    """What a shell waits with for a price; the simulator begins with some days of the past."""
    asking = f'curl --silent --fail -H "Authorization: Bearer $TOKEN" 127.0.0.1:{port}/api/v1/market/prices/{symbol}'
    return f"until command {asking} > price.json; do sleep 0.2; done; echo all priced"


async def test_several_instances_go_as_the_document_says(shell: Shell, tmp_path: Path) -> None:
    """Both clients hear what outsiders say, one goes on without a loss, and a lost log is told."""
    start, clients, outside, kill, restart, stop = blocks("several-instances.md", tmp_path, "6390", "8091", "8092")
    shell.type(start)
    await shell.until("roles +web(.|\n)*roles +web")
    shell.type(clients)
    await shell.until(r"\d+ at 0(.|\n)*\d+ at 0", "price RELIANCE(.|\n)*price RELIANCE")
    shell.type(outside)
    await shell.until("price OURS 2500.5(.|\n)*price OURS 2500.5", "signal 2 INFY(.|\n)*signal 2 INFY")
    shell.forget()
    shell.type(kill)
    await shell.until("gone", r"at \d recovered: True", "signal 5 ITC5(.|\n)*signal 5 ITC5")
    for number in (3, 4, 5):
        assert len(re.findall(f"signal {number} ITC{number}", shell.printed)) == 2, shell.printed
    shell.forget()
    shell.type(restart)
    await shell.until("a gap was told(.|\n)*a gap was told", "signal 1 SBIN(.|\n)*signal 1 SBIN")
    shell.forget()
    shell.type(stop + "\nwait; echo all ended")
    await shell.until("all ended")


async def test_an_account_goes_from_registration_to_logout_as_the_document_says(shell: Shell, tmp_path: Path) -> None:
    """One socket is refused depth, hears it once the administrator has changed the plan, and closes at logout."""
    blocks_ = blocks("api.md", tmp_path, "8094")
    start, register, verify, login, refresh, second, second_login = blocks_[:7]
    open_socket, refused, upgrade, upgraded, logout, closed, trail, end = blocks_[7:]
    shell.type(start)
    await shell.until('"status":"ok"')
    shell.type(register)
    await shell.until('"access_token":"[^"]+"', '"email_verified":false')
    shell.forget()
    shell.type(verify)
    await shell.until('"status":"success"')
    shell.forget()
    shell.type(login)
    await shell.until('"email":"asha@example.com","email_verified":true', '"plan":"free"')
    shell.type(f'before="$TOKEN"; {refresh}\n[ "$TOKEN" != "$before" ] && echo "new token ${{#TOKEN}}"')
    await shell.until(r"^new token [1-9]\d\d")
    shell.type(second)
    await shell.until(r'"enabled":true,"recovery_codes":\[("[^"]+",?){10}\]')
    shell.type(second_login)
    await shell.until('"enabled":true,"recovery_codes_left":10')
    shell.type(open_socket)
    await shell.until(*lines(refused))
    shell.forget()
    shell.type(upgrade)
    await shell.until('"plan":"pro"', *lines(upgraded))
    shell.forget()
    shell.type(logout)
    await shell.until(*(line.removeprefix("^") for line in lines(closed)))  # what curl prints ends no line
    shell.forget()
    async with asyncio.timeout(25):
        while '"action":"logout"' not in shell.printed:  # which is written soon, and nobody waits for it
            shell.forget()
            shell.type(f"{trail}\necho all told")
            await shell.until("^all told")
    assert '"action":"user.changed"' in shell.printed
    assert '"data":{"intact":true' in shell.printed
    shell.type(f"{end}\nwait; echo all ended")
    await shell.until("all ended")


async def test_an_alert_fires_as_the_document_says(shell: Shell, tmp_path: Path) -> None:
    """It is made, fires by the simulated price, and its history explains it."""
    start, make, history, end, backtest, _ = of_kind("alerts.md", "sh", tmp_path, "8095")
    shell.type(start)
    await shell.until('"status":"ok"')
    shell.type(make)
    await shell.until('"condition":"price steps 0.05".*"words":"RELIANCE moves another ₹0.05"')
    shell.forget()
    async with asyncio.timeout(25):
        while '"kind":"fired"' not in shell.printed:  # the document's seconds may be too few for a busy machine
            shell.forget()
            shell.type(f"{history.replace('sleep 5', 'sleep 1')}\necho all told")
            await shell.until("^all told")
    fired = json.loads(next(line for line in shell.printed.splitlines() if line.startswith("{")))["data"]["items"][0]
    shown = next(block for block in of_kind("alerts.md", "json") if '"kind":"fired"' in block)
    assert fired.keys() == json.loads(shown).keys()
    assert fired["via"] == "tick"
    assert abs(fired["current"] - fired["previous"]) >= 0.05 - 1e-9
    shell.forget()
    shell.type(f"{end}\necho all ended")
    await shell.until("^all ended")
    shell.type(backtest)
    await shell.until(*lines(of_kind("alerts.md", "")[0]))


async def test_the_tutorial_goes_from_nothing_to_an_sms(shell: Shell, tmp_path: Path) -> None:
    """With `python -m hub` for `make run`, which installs first."""
    steps = of_kind("tutorial.md", "sh", tmp_path, "8081")
    ready, token, price, socket, register, verify, upgrade, alert, sms, kept = steps
    heard, sent = of_kind("tutorial.md", "")
    port = re.search(r"127.0.0.1:(\d+)/health", ready)
    assert port is not None
    shell.type(f"PORT={port[1]} python -m hub & echo $! > {tmp_path}/hub.pid")
    shell.type(ready)
    await shell.until('"status":"ok"')
    shell.type(f"{token}{until_priced(port[1], 'RELIANCE')}\n{price}")
    await shell.until("^all priced", '"symbol":"RELIANCE".*"price":')
    shell.type(socket)
    await shell.until(*lines(heard))
    shell.type(f"{register}{verify}")
    await shell.until('"phone_verified":true')
    shell.type(upgrade)
    await shell.until('"plan":"pro"')
    shell.type(alert)
    await shell.until('"channels":\\["sms"\\]')
    shell.type(sms)
    await shell.until(*lines(sent))
    shell.forget()
    shell.type(kept)
    await shell.until('"kind":"fired"', '"channel":"sms","status":"delivered"')


async def test_the_first_sockets_of_the_readme_hear_prices(shell: Shell, tmp_path: Path) -> None:
    """The one for browsers in Node, which has the same WebSocket, and loads modules from files alone."""
    port = str(free_port())
    found = FENCED.findall((ROOT / "README.md").read_text(encoding="utf-8").replace("8081", port))
    python, browser = (next(block for one, block in found if one == kind) for kind in ("python", "js"))
    upgrade = next(block for _, block in found if block.startswith("curl"))
    (tmp_path / "first.py").write_text(python, encoding="utf-8")
    script = browser.replace(f"http://localhost:{port}/tickhub.js", str(ROOT / "clients" / "js" / "tickhub.js"))
    (tmp_path / "first.mjs").write_text(script.replace('"…"', "process.argv[2]"), encoding="utf-8")
    shell.type(f"export PORT={port}; python -m hub > hub.log & echo $! > hub.pid")
    shell.type("TOKEN=$(python -m hub token --user 7 --plan pro)")
    shell.type(f"curl --silent --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:{port}/health")
    await shell.until('"status":"ok"')
    for command, heard in {
        "python first.py $TOKEN": "market:update(.|\n)*RELIANCE",
        "node first.mjs $TOKEN": r"^(RELIANCE|TCS) [\d.]+$",
        upgrade.strip(): "market:update(.|\n)*RELIANCE",
    }.items():
        shell.forget()
        shell.type(f"{command} & ")
        await shell.until(heard)
        shell.type("kill $!; wait $!; echo; echo all ended")
        await shell.until("^all ended")


async def test_every_line_about_http_is_answered_well(shell: Shell, tmp_path: Path) -> None:
    """On a hub with the simulator; only the user of the example of administration is made up."""
    port = str(free_port())
    steps = [step for name in ("http.md", "notifications.md") for step in of_kind(name, "sh", tmp_path)]
    steps.append(of_kind("alerts.md", "sh", tmp_path)[-1])
    steps = [step.replace("localhost:8081", f"127.0.0.1:{port}") for step in steps]
    shell.type(f"export PORT={port} RATE_LIMIT_MAX=1000; python -m hub > hub.log & echo $! > hub.pid")
    shell.type('curl() { command curl --silent --retry 30 --retry-delay 1 --retry-connrefused "$@"; echo; }')
    setup, *asking = steps
    shell.type(setup + until_priced(port, "BSE:SENSEX"))
    await shell.until("^all priced")
    for number, step in enumerate(asking):
        shell.type(f"{step}\necho told {number}")
        await shell.until(f"^told {number}$")
    begins = re.finditer(r'^\{"status"', shell.printed, re.MULTILINE)  # an answer may be several lines
    answers = [json.JSONDecoder().raw_decode(shell.printed, begin.start())[0] for begin in begins]
    assert len(answers) == sum(line.startswith("curl ") for step in steps for line in step.splitlines())
    errors = [answer["error"] for answer in answers if answer["status"] == "error"]
    assert [error["message"] for error in errors] == ["No such user"]


async def test_outsiders_speak_through_redis_as_the_document_says(shell: Shell, tmp_path: Path, redis_url: str) -> None:
    """Its channels are those of the example of namespaces; nothing of it is refused."""
    namespaces = tmp_path / "namespaces.toml"
    namespaces.write_text(of_kind("channels.md", "toml")[0], encoding="utf-8")
    live, durable, dead = of_kind("redis.md", "sh", tmp_path)
    shell.type(f'redis-cli() {{ command redis-cli -u {redis_url} "$@"; }}')
    async with running(tmp_path, REDIS_URL=redis_url, NAMESPACES_FILE=str(namespaces)) as hub:
        await until(lambda: hub.broker.connected)  # type: ignore[attr-defined]
        async with hub.client() as client:
            await client.subscribe("market:RELIANCE", "orders:user", "signals:generated")
            shell.type(live)
            await client.hear("market:update", price=2500.5)
            await client.hear("orders:new", data={"order": "A1", "status": "open"})
            shell.type(durable)
            await client.hear("signals:new", offset=1)
            await client.hear("orders:new", offset=1, data={"order": "A1", "status": "filled"})
            shell.forget()
            shell.type(f"{dead}echo all told")
            await shell.until("^all told")
    assert "reason" not in shell.printed


def of_kind(name: str, kind: str, folder: Path | None = None, *ports: str) -> list[str]:
    """A document's blocks of one kind, those of a shell with free ports and a folder of this test's own."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for port in ports:
        text = text.replace(port, str(free_port()))
    if folder is not None:
        text = text.replace("/tmp/tickhub-", f"{folder}/").replace("$PWD/.venv/bin:", "")
    return [block for one, block in FENCED.findall(text) if one == kind]


def examples(kind: str) -> list[list[str]]:
    """What stands in lines of such blocks of the page about alerts, and what is said to come of it."""
    told = itertools.chain.from_iterable(block.splitlines() for block in of_kind("alerts.md", kind))
    return [re.split(r"\s+→ ", line) for line in told if line.strip()]


def read(condition: str) -> Checked:
    return check_text(condition, "NSE", "RELIANCE", READER)


@pytest.mark.parametrize("example", examples("condition"), ids=lambda example: example[0])
def test_each_condition_of_the_document_is_understood_as_it_says(example: list[str]) -> None:
    """It has a meaning, its canonical text has the same one, and the words beside it are those that people get."""
    condition, *said = example
    checked = read(condition)
    assert read(checked.text).tree == checked.tree
    if said:
        assert [words(checked.tree, "en", "NSE", "RELIANCE")] == said


def test_the_document_has_an_example_for_each_form_of_a_condition() -> None:
    def forms(tree: Any) -> set[str]:
        found: set[str] = set()
        match tree:
            case dict():
                named = [tree.get(one) for one in ("direction", "relation", "which", "of", "op")]
                found |= {" ".join(filter(None, [tree["is"], *named]))}
                return found.union(*(forms(one) for one in tree.values() if isinstance(one, dict | list)))
            case list():
                return found.union(*map(forms, tree))
            case _:
                return found

    shown = set[str]().union(
        *(forms(msgspec.to_builtins(read(condition).tree)) for condition, *_ in examples("condition"))
    )
    assert shown >= {
        *(f"compare {op}" for op in (">", ">=", "<", "<=", "==")),
        *("cross above", "cross below", "cross"),
        *(f"channel {relation}" for relation in ("enters", "exits", "inside", "outside")),
        *("move", "move up", "move down", "step", "and", "or", "not", "hold", "then"),
        *("extreme high", "extreme low", "extreme high year", "extreme low year"),
        *("number", "field", "indicator", *(f"arithmetic {op}" for op in "+-*/")),
    }


def test_the_tree_of_the_document_is_that_of_its_text() -> None:
    tree = msgspec.json.decode(of_kind("alerts.md", "json")[0], type=Condition)
    assert check(tree, "NSE", "RELIANCE", READER).text == "price > 2500"


@pytest.mark.parametrize("example", examples("plain"), ids=lambda example: example[0])
def test_each_plain_form_of_the_document_means_what_it_says(example: list[str]) -> None:
    given, meant = json.loads(example[0]), example[1]
    said = plain(given["condition"], given.get("threshold"), given.get("notification_type"), READER)
    assert read(said.condition).text == meant


LINE = re.compile(
    r"(?P<next>next day )?(?P<time>\d\d:\d\d:\d\d) +(?P<price>[\d.]+)(?: +high +(?P<high>[\d.]+))?"
    r"(?: {3,}(?P<told>.+))?"
)


@pytest.mark.parametrize("block", of_kind("alerts.md", "ticks"), ids=lambda block: block.splitlines()[0])
def test_prices_make_alerts_fire_where_the_document_says(block: str) -> None:
    """Each line of such a block is a tick, with what it makes an alert fire or not."""
    head, *prices = block.splitlines()
    body = msgspec.json.decode(json.dumps({"symbol": "RELIANCE"} | json.loads(head)), type=AlertBody)
    assert isinstance(body.condition, str)
    options = body.applied_to(Options())
    tree = check_text(body.condition, "NSE", "RELIANCE", READER, options=options).tree
    engine = Engine()
    engine.put(Rule(id=1, version=1, exchange="NSE", symbol="RELIANCE", tree=tree, options=options))
    for number, line in enumerate(prices, 1):
        shown = LINE.fullmatch(line)
        assert shown is not None, line
        tick = tick_of_line(shown)
        assert [told(one) for one in engine.take(tick, number, tick.time_ms)] == [shown["told"]] * bool(
            shown["told"]
        ), line


def tick_of_line(shown: "re.Match[str]") -> Tick:
    moment = datetime.fromisoformat(f"2026-11-23T{shown['time']}").replace(tzinfo=IST)
    moment += timedelta(days=bool(shown["next"]))
    high = None if shown["high"] is None else scaled(shown["high"])
    return Tick("NSE", "RELIANCE", scaled(shown["price"]), int(moment.timestamp() * 1000), high=high)


def scaled(price: str) -> int:
    return round(float(price) * PRICE_SCALE)


def told(firing: Firing) -> str:
    """A firing as the document writes it."""
    if firing.suppressed is not None:
        return f"suppressed: {firing.suppressed}"
    via = [firing.via] if firing.via != "tick" else []
    return ", ".join(["fires", *["gap"] * firing.gap, *via])


def test_the_registered_templates_of_the_document_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "dlt.toml").write_text(of_kind("notifications.md", "dlt")[0], encoding="utf-8")
    dlt = Dlt.load(tmp_path / "dlt.toml")
    values = {"symbol": "RELIANCE", "condition": "RELIANCE ₹2,500 च्या वर जातो", "price": "₹2,510.50"}
    assert dlt.text_for("alert", "mr", values).text == (
        "RELIANCE चा अलर्ट: RELIANCE ₹2,500 च्या वर जातो. भाव ₹2,510.50. - Tickhub"
    )


def test_the_preferences_of_the_document_are_taken() -> None:
    check_notifications(msgspec.json.decode(of_kind("notifications.md", "preferences")[0], type=Notifications))


def test_the_alert_with_an_escalation_of_the_document_is_taken() -> None:
    body = msgspec.json.decode(of_kind("notifications.md", "escalation")[0], type=AlertBody)
    assert [step.after_s for step in body.applied_to(Options()).escalation] == [60, 180]


def test_the_receiver_of_the_document_believes_what_is_signed_and_nothing_else() -> None:
    receiver: dict[str, Any] = {}
    exec(of_kind("notifications.md", "python")[0], receiver)  # what readers are told to write
    secret, other = (Secret(f"whsec_{base64.b64encode(bytes([one]) * 32).decode()}") for one in (1, 2))
    body, now = b'{"type":"webhook.test"}', str(int(time.time()))

    def believed(keys: list[Secret], stamp: str, came: bytes) -> bool:
        signed = {
            "webhook-id": "m",
            "webhook-timestamp": stamp,
            "webhook-signature": signatures(keys, "m", stamp, body),
        }
        answer: bool = receiver["is_genuine"](secret.reveal(), signed, came)
        return answer

    assert believed([secret], now, body)
    assert believed([other, secret], now, body)
    assert not believed([other], now, body)
    assert not believed([secret], now, body + b" ")
    assert not believed([secret], str(int(time.time()) - 301), body)


async def test_the_python_client_of_the_document_recovers_and_brings_a_new_token(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears a price and a signal, and after its connection broke the signals that it missed, in order and once."""
    async with running(tmp_path, REDIS_URL=redis_url) as hub:
        monkeypatch.setenv("TICKHUB_URL", f"ws://{hub.place}/ws")
        client: dict[str, Any] = {"__name__": "client"}
        exec(of_kind("python-client.md", "python")[0], client)  # what readers are told to write
        heard: list[dict[str, Any]] = []
        asked: list[str] = []

        def fresh() -> str:
            asked.append(token("client", expires_in_s=62))
            return asked[-1]

        def offsets() -> list[int]:
            return [one["offset"] for one in heard if one["type"] == "signals:new"]

        async def signal(number: int) -> None:
            await hub.publish("signals:generated", symbol=f"S{number}", signal_type="BUY", confidence=50)

        following = asyncio.create_task(client["follow"](fresh, heard.append), name="client")
        await until(lambda: any(one["type"] == "subscribed" for one in heard))
        await hub.publish("market:TCS", price=3139.5)
        await signal(1)
        await until(lambda: offsets() == [1] and any(one["type"] == "market:update" for one in heard))
        await until(lambda: any(one["type"] == "refreshed" for one in heard))
        for connection in tuple(hub.server.server_state.connections):
            connection.transport.abort()
        await signal(2)
        await signal(3)
        await until(lambda: offsets() == [1, 2, 3])
        assert len(asked) >= 3
        following.cancel()
        await asyncio.wait([following])
