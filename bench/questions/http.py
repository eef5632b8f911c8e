"""How many requests one process answers, how soon, and what each costs."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from auth.identity import Plan, Role
from auth.tokens import TokenIssuer
from bench.http_load import Asked, HttpLoad, HttpSample, medians, wrk_binary
from bench.peers.publisher import TOKEN
from bench.questions.asking import Options, say
from bench.report import Answer
from bench.stored import PASSWORD, email, fill
from bench.systems import Running, redis_binary, start_hub, start_redis
from tests.servers import PostgresServer, ServerError, close_reaper

_PRICE = "/market/prices/RELIANCE"
_CROWD = 32
"""Connections at saturation: a request waits for as many others."""
_RATE = 3_000.0
_P95_MS = 20.0

_READS_RATE = 500.0
_READS_P95_MS = 50.0
_MOST_UNDER_WAY = 64
_PEOPLE = 10_000
_SIGNALS = 500
_WHO_LOG_IN = 200
_LOGINS_AT_ONCE = 8

_A_DAY_S = 24 * 3600.0

_NOTE = (
    "µs a request and cores are the hub's CPU, all its threads; waiting is the time in which it could have run and no"
    " core was free; rate limits count each request, and are never reached"
)

Case = Callable[[], HttpSample]


def http(options: Options) -> Answer:
    """Requests a second over HTTP, reads from PostgreSQL, logins."""
    answer = Answer(
        "http",
        "HTTP, one process",
        ("request", "client", "requests/s", "p50 ms", "p95 ms", "p99 ms", "max ms", "µs/request", "cores", "waiting"),
        notes=[_NOTE],
    )
    wrk = wrk_binary()
    if wrk is None:
        answer.notes.append("there is no wrk on PATH; the built-in client costs the machine ten times as much")
    with ExitStack() as stack:
        load = HttpLoad(stack, wrk=wrk)
        _prices(answer, options, load)
        _from_postgres(answer, options, load)
    return answer


# -- prices -----------------------------------------------------------------------------------------------------------


def _prices(answer: Answer, options: Options, load: HttpLoad) -> None:
    with ExitStack() as stack:
        say("a hub with the simulator")
        hub = start_hub(stack, ["--simulator"])
        token, key = Asked(_PRICE, hub.token), Asked(_PRICE, _api_key(hub))

        def saturated(case: str, hub: Running, asked: Asked) -> Case:
            return lambda: load.saturate(case, hub, [asked], connections=_CROWD, window_s=options.window_s)

        cases = [
            saturated("a price, with a token", hub, token),
            saturated("a price, with an API key", hub, key),
            lambda: load.at_rate(
                f"a price, {_RATE:,.0f}/s", hub, [token], _RATE, connections=_MOST_UNDER_WAY, window_s=options.window_s
            ),
        ]
        if redis_binary() is None:
            answer.notes.append("SKIPPED: a price over Redis, for there is no redis-server on PATH")
        else:
            behind = start_hub(stack, ["--simulator", "--redis", f"redis://127.0.0.1:{start_redis(stack)}/0"])
            cases.append(saturated("a price, over Redis", behind, Asked(_PRICE, behind.token)))
        first, *_ = _in_turns(answer, options, cases)
    answer.target(
        f"≥ {_RATE:,.0f} prices a second with p95 < {_P95_MS:g} ms: {first.answered:,.0f} with {first.p95_ms:.1f} ms",
        reached=first.answered >= _RATE and first.p95_ms < _P95_MS,
    )


def _api_key(hub: Running) -> str:
    made = Asked("/users/api-keys", hub.token, {"name": "bench", "scopes": ["market"]}).answer(hub.port)
    return str(made["key"])


# -- what comes from PostgreSQL ---------------------------------------------------------------------------------------


def _from_postgres(answer: Answer, options: Options, load: HttpLoad) -> None:
    try:
        with ExitStack() as stack:
            say(f"PostgreSQL with {_PEOPLE:,} accounts")
            server = stack.enter_context(PostgresServer())
            fill(server.url, people=_PEOPLE, given=_SIGNALS)
            hub = start_hub(stack, ["--symbols", "1", "--database", server.url])
            _reads(answer, options, load, hub)
            _logins(answer, options, load, hub)
    except ServerError as exc:
        answer.notes.append(f"SKIPPED: what comes from PostgreSQL: {exc}")
    finally:
        close_reaper()


def _reads(answer: Answer, options: Options, load: HttpLoad, hub: Running) -> None:
    someone = Asked("/auth/login", body={"email": email(0), "password": PASSWORD}).answer(hub.port)["access_token"]
    admin = TokenIssuer(TOKEN, _A_DAY_S).issue("bench", Plan.PRO, Role.ADMIN)
    reads = [
        Asked("/users/me", someone),
        Asked("/signals?limit=20", hub.token),
        Asked("/admin/users?limit=50", admin),
    ]

    def at_rate(asked: Asked) -> Case:
        case = f"GET {asked.path[1:]}, {_READS_RATE:.0f}/s"
        return lambda: load.at_rate(
            case, hub, [asked], _READS_RATE, connections=_MOST_UNDER_WAY, window_s=options.window_s
        )

    for sample in _in_turns(answer, options, [at_rate(asked) for asked in reads]):
        answer.target(
            f"{sample.case}, p95 < {_READS_P95_MS:g} ms: {sample.p95_ms:.1f} ms", reached=sample.p95_ms < _READS_P95_MS
        )


def _logins(answer: Answer, options: Options, load: HttpLoad, hub: Running) -> None:
    everyone = [
        Asked("/auth/login", body={"email": email(number), "password": PASSWORD}) for number in range(_WHO_LOG_IN)
    ]
    case = f"POST auth/login, {_LOGINS_AT_ONCE} at once"
    _in_turns(
        answer,
        options,
        [lambda: load.saturate(case, hub, everyone, connections=_LOGINS_AT_ONCE, window_s=options.window_s)],
    )
    answer.notes.append(
        f"{_WHO_LOG_IN} people log in by turns, Argon2id has two threads, and PostgreSQL doesn't wait for its disk"
    )


# -- rows -------------------------------------------------------------------------------------------------------------


def _in_turns(answer: Answer, options: Options, cases: Sequence[Case]) -> list[HttpSample]:
    """The medians of each case, a row each. The cases take turns, so that a disturbance meets all of them."""
    samples: list[list[HttpSample]] = [[] for _ in cases]
    for case in cases:
        say(case().case)  # connections to databases are opened, caches are filled
    for _ in range(options.runs):
        for case, measured in zip(cases, samples, strict=True):
            measured.append(case())
            answer.samples.append(measured[-1].as_json())
    middle = [medians(measured) for measured in samples]
    answer.rows += [
        (
            one.case,
            one.client,
            round(one.answered),
            one.p50_ms,
            one.p95_ms,
            one.p99_ms,
            one.max_ms,
            round(one.us_per_request),
            one.cores,
            one.waiting,
        )
        for one in middle
    ]
    return middle
