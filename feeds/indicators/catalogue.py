"""The catalogue of indicators: what each is called, what it takes and what it gives.

The formulas are TA-Lib's, under the function that each entry names; `vwap` alone is ours, since TA-Lib knows no
trading sessions. A name is written `rsi`, `rsi(7)` or `macd(12,26,9)`; parameters left out keep their defaults. Those
of the close alone may be asked for over another figure of the candle, which comes first: `sma(volume,20)`.
"""

from types import MappingProxyType

import msgspec

MAX_PERIOD = 500
"""The longest period: it bounds how much history a request can ask for."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: its default, and the least and the most it may be. `keywords` are TA-Lib's names for it."""

    name: str
    default: float
    least: float
    most: float
    whole: bool
    keywords: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One indicator. `outputs` is empty where its value is a single number. `inputs` are a candle's fields.

    One that takes the close alone takes another figure in its place where it is asked to, `sma(volume,20)`.
    """

    name: str
    function: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    outputs: tuple[str, ...] = ()
    summary: str


def _whole(name: str, keyword: str, default: int, *, least: int = 2) -> Parameter:
    return Parameter(name=name, default=default, least=least, most=MAX_PERIOD, whole=True, keywords=(keyword,))


def _number(name: str, *keywords: str, default: float, least: float, most: float) -> Parameter:
    return Parameter(name=name, default=default, least=least, most=most, whole=False, keywords=keywords)


def _period(default: int) -> tuple[Parameter, ...]:
    return (_whole("period", "timeperiod", default),)


def _fast_slow(fast: int, slow: int) -> tuple[Parameter, ...]:
    return _whole("fast", "fastperiod", fast), _whole("slow", "slowperiod", slow)


def _deviations(*keywords: str) -> Parameter:
    return _number("deviations", *keywords, default=2.0, least=0.1, most=10.0)


_O, _H, _L, _C, _V = "open", "high", "low", "close", "volume"
_BANDS = ("upper", "middle", "lower")

_ROWS: tuple[tuple[str, str, tuple[str, ...], tuple[Parameter, ...], tuple[str, ...], str], ...] = (
    # Averages and what lies over the price
    ("sma", "SMA", (_C,), _period(20), (), "Simple moving average"),
    ("ema", "EMA", (_C,), _period(20), (), "Exponential moving average"),
    ("wma", "WMA", (_C,), _period(20), (), "Linearly weighted moving average"),
    ("dema", "DEMA", (_C,), _period(20), (), "Double exponential moving average"),
    ("tema", "TEMA", (_C,), _period(20), (), "Triple exponential moving average"),
    ("trima", "TRIMA", (_C,), _period(20), (), "Triangular moving average"),
    ("kama", "KAMA", (_C,), _period(10), (), "Kaufman's adaptive moving average"),
    ("hma", "HMA", (_C,), _period(20), (), "Hull moving average"),
    ("vwma", "VWMA", (_C, _V), _period(20), (), "Moving average weighted by volume"),
    ("zlema", "ZLEMA", (_C,), _period(20), (), "Exponential moving average with less lag"),
    ("rma", "RMA", (_C,), _period(14), (), "Wilder's smoothed moving average"),
    (
        "t3", "T3", (_C,),
        (*_period(5), _number("factor", "vfactor", default=0.7, least=0.0, most=1.0)),
        (), "Tillson's smoothed moving average",
    ),
    (
        "mama", "MAMA", (_C,),
        (
            _number("fast", "fastlimit", default=0.5, least=0.01, most=0.99),
            _number("slow", "slowlimit", default=0.05, least=0.01, most=0.99),
        ),
        ("mama", "fama"), "MESA adaptive moving average and the average that follows it",
    ),
    ("bbands", "BBANDS", (_C,), (*_period(20), _deviations("nbdevup", "nbdevdn")), _BANDS, "Bollinger bands"),
    (
        "keltner", "KC", (_H, _L, _C),
        (*_period(20), _whole("atr_period", "atrperiod", 10), _deviations("nbdev")),
        _BANDS, "Keltner channels: an average and multiples of the true range around it",
    ),
    ("donchian", "DONCHIAN", (_H, _L), _period(20), _BANDS, "Highest high and lowest low, and their middle"),
    ("accbands", "ACCBANDS", (_H, _L, _C), _period(20), _BANDS, "Acceleration bands"),
    (
        "supertrend", "SUPERTREND", (_H, _L, _C),
        (*_period(10), _number("multiplier", "multiplier", default=3.0, least=0.1, most=20.0)),
        ("value", "trend"), "The stop that trails a trend by the true range; trend is 1 up, -1 down",
    ),
    (
        "sar", "SAR", (_H, _L),
        (
            _number("step", "acceleration", default=0.02, least=0.001, most=1.0),
            _number("most", "maximum", default=0.2, least=0.01, most=1.0),
        ),
        (), "Parabolic stop and reverse",
    ),
    ("vwap", "VWAP", (_H, _L, _C, _V), (), (), "Average price by volume since the day began"),
    ("midpoint", "MIDPOINT", (_C,), _period(14), (), "Middle of the highest and lowest close"),
    ("midprice", "MIDPRICE", (_H, _L), _period(14), (), "Middle of the highest high and lowest low"),
    ("highest", "MAX", (_C,), _period(20), (), "Highest close"),
    ("lowest", "MIN", (_C,), _period(20), (), "Lowest close"),
    ("ht_trendline", "HT_TRENDLINE", (_C,), (), (), "Hilbert transform: instantaneous trend line"),
    # Momentum
    ("rsi", "RSI", (_C,), _period(14), (), "Relative strength index, 0 to 100"),
    (
        "macd", "MACD", (_C,), (*_fast_slow(12, 26), _whole("signal", "signalperiod", 9, least=1)),
        ("macd", "signal", "histogram"), "Difference of two exponential averages, and its own average",
    ),
    ("ppo", "PPO", (_C,), _fast_slow(12, 26), (), "Difference of two averages in percent"),
    ("apo", "APO", (_C,), _fast_slow(12, 26), (), "Difference of two averages"),
    (
        "stoch", "STOCH", (_H, _L, _C),
        (
            _whole("k", "fastk_period", 14, least=1),
            _whole("k_smoothing", "slowk_period", 3, least=1),
            _whole("d", "slowd_period", 3, least=1),
        ),
        ("k", "d"), "Slow stochastic, 0 to 100",
    ),
    (
        "stochf", "STOCHF", (_H, _L, _C),
        (_whole("k", "fastk_period", 14, least=1), _whole("d", "fastd_period", 3, least=1)),
        ("k", "d"), "Fast stochastic, 0 to 100",
    ),
    (
        "stochrsi", "STOCHRSI", (_C,),
        (*_period(14), _whole("k", "fastk_period", 14, least=1), _whole("d", "fastd_period", 3, least=1)),
        ("k", "d"), "Stochastic of the relative strength index, 0 to 100",
    ),
    (
        "kdj", "KDJ", (_H, _L, _C),
        (
            _whole("k", "fastk_period", 9, least=1),
            _whole("k_smoothing", "slowk_period", 3, least=1),
            _whole("d", "slowd_period", 3, least=1),
        ),
        ("k", "d", "j"), "Stochastic with a line of its lead",
    ),
    (
        "smi", "SMI", (_H, _L, _C),
        (
            _whole("period", "timeperiod", 13),
            _whole("fast", "fastperiod", 2),
            _whole("slow", "slowperiod", 25),
            _whole("signal", "signalperiod", 9),
        ),
        ("smi", "signal"), "Stochastic momentum index",
    ),
    ("willr", "WILLR", (_H, _L, _C), _period(14), (), "Williams' %R, -100 to 0"),
    ("cci", "CCI", (_H, _L, _C), _period(20), (), "Commodity channel index"),
    ("cmo", "CMO", (_C,), _period(14), (), "Chande momentum oscillator, -100 to 100"),
    ("mfi", "MFI", (_H, _L, _C, _V), _period(14), (), "Money flow index, 0 to 100"),
    ("roc", "ROC", (_C,), _period(10), (), "Rate of change in percent"),
    ("mom", "MOM", (_C,), _period(10), (), "Change against the close so many candles ago"),
    ("trix", "TRIX", (_C,), _period(15), (), "Rate of change of a triple exponential average"),
    ("tsi", "TSI", (_C,), (_whole("first", "firstperiod", 25), _whole("second", "secondperiod", 13)), (),
     "True strength index"),
    (
        "ultosc", "ULTOSC", (_H, _L, _C),
        (
            _whole("short", "timeperiod1", 7, least=1),
            _whole("middle", "timeperiod2", 14, least=1),
            _whole("long", "timeperiod3", 28, least=1),
        ),
        (), "Ultimate oscillator over three periods, 0 to 100",
    ),
    ("bop", "BOP", (_O, _H, _L, _C), (), (), "Balance of power, -1 to 1"),
    ("ao", "AO", (_H, _L), _fast_slow(5, 34), (), "Awesome oscillator"),
    ("imi", "IMI", (_O, _C), _period(14), (), "Intraday momentum index, 0 to 100"),
    ("dpo", "DPO", (_C,), _period(20), (), "Price against its displaced average"),
    (
        "coppock", "COPPOCK", (_C,),
        (
            _whole("period", "wmaperiod", 10),
            _whole("first", "roc1period", 11),
            _whole("second", "roc2period", 14),
        ),
        (), "Coppock curve",
    ),
    ("eri", "ERI", (_H, _L, _C), _period(13), ("bull", "bear"), "Elder's bull and bear power"),
    ("qstick", "QSTICK", (_O, _C), _period(10), (), "Average of close less open"),
    # Trend
    ("adx", "ADX", (_H, _L, _C), _period(14), (), "Strength of a trend whichever way, 0 to 100"),
    ("adxr", "ADXR", (_H, _L, _C), _period(14), (), "Average of two values of adx"),
    ("dx", "DX", (_H, _L, _C), _period(14), (), "Directional movement index, before it is smoothed"),
    ("plus_di", "PLUS_DI", (_H, _L, _C), _period(14), (), "Movement upwards"),
    ("minus_di", "MINUS_DI", (_H, _L, _C), _period(14), (), "Movement downwards"),
    ("aroon", "AROON", (_H, _L), _period(14), ("down", "up"), "How recent the low and the high are, 0 to 100"),
    ("aroonosc", "AROONOSC", (_H, _L), _period(14), (), "Aroon up less Aroon down"),
    ("vortex", "VORTEX", (_H, _L, _C), _period(14), ("plus", "minus"), "Vortex indicator"),
    ("vhf", "VHF", (_C,), _period(28), (), "Vertical horizontal filter: trending or not"),
    ("er", "ER", (_C,), _period(10), (), "Kaufman's efficiency ratio, 0 to 1"),
    ("massi", "MASSI", (_H, _L), _fast_slow(9, 25), (), "Mass index: widening ranges"),
    # Volatility
    ("atr", "ATR", (_H, _L, _C), _period(14), (), "Average true range"),
    ("natr", "NATR", (_H, _L, _C), _period(14), (), "Average true range in percent of the close"),
    ("trange", "TRANGE", (_H, _L, _C), (), (), "True range"),
    ("adr", "ADR", (_H, _L), _period(14), (), "Average of high less low"),
    ("stddev", "STDDEV", (_C,), _period(20), (), "Standard deviation of the close"),
    ("var", "VAR", (_C,), _period(20), (), "Variance of the close"),
    ("cvi", "CVI", (_H, _L), (_whole("period", "timeperiod", 10), _whole("change", "rocperiod", 10)), (),
     "Chaikin's volatility"),
    ("rvi", "RVI", (_C,), (_whole("period", "timeperiod", 14), _whole("deviation_period", "stddevperiod", 10)), (),
     "Relative volatility index, 0 to 100"),
    # Volume
    ("obv", "OBV", (_C, _V), (), (), "On-balance volume, counted from the first candle"),
    ("ad", "AD", (_H, _L, _C, _V), (), (), "Accumulation and distribution, counted from the first candle"),
    ("adosc", "ADOSC", (_H, _L, _C, _V), _fast_slow(3, 10), (), "Chaikin's oscillator of accumulation"),
    ("cmf", "CMF", (_H, _L, _C, _V), _period(20), (), "Chaikin money flow, -1 to 1"),
    ("efi", "EFI", (_C, _V), _period(13), (), "Elder's force index"),
    ("pvt", "PVT", (_C, _V), (), (), "Price volume trend, counted from the first candle"),
    ("nvi", "NVI", (_C, _V), (), (), "Negative volume index, from 1000 at the first candle"),
    ("pvi", "PVI", (_C, _V), (), (), "Positive volume index, from 1000 at the first candle"),
    ("pvo", "PVO", (_V,), _fast_slow(12, 26), (), "Difference of two averages of volume in percent"),
    ("rvol", "RVOL", (_V,), _period(20), (), "Volume against its average before"),
    # Statistics and cycles
    ("linearreg", "LINEARREG", (_C,), _period(14), (), "End of the line of least squares"),
    ("linearreg_slope", "LINEARREG_SLOPE", (_C,), _period(14), (), "Slope of that line per candle"),
    ("linearreg_angle", "LINEARREG_ANGLE", (_C,), _period(14), (), "Slope of that line in degrees"),
    ("linearreg_intercept", "LINEARREG_INTERCEPT", (_C,), _period(14), (), "Beginning of that line"),
    ("tsf", "TSF", (_C,), _period(14), (), "That line one candle further"),
    ("avgdev", "AVGDEV", (_C,), _period(14), (), "Average deviation from the mean"),
    ("percentrank", "PERCENTRANK", (_C,), _period(100), (), "Share of earlier closes below this one"),
    ("ht_dcperiod", "HT_DCPERIOD", (_C,), (), (), "Hilbert transform: length of the dominant cycle"),
    ("ht_dcphase", "HT_DCPHASE", (_C,), (), (), "Hilbert transform: phase of the dominant cycle"),
    ("ht_sine", "HT_SINE", (_C,), (), ("sine", "lead"), "Hilbert transform: sine wave and its lead"),
    ("ht_phasor", "HT_PHASOR", (_C,), (), ("in_phase", "quadrature"), "Hilbert transform: phasor components"),
    ("ht_trendmode", "HT_TRENDMODE", (_C,), (), (), "Hilbert transform: 1 trend, 0 cycle"),
    # Prices made of a candle's four
    ("avgprice", "AVGPRICE", (_O, _H, _L, _C), (), (), "Mean of open, high, low and close"),
    ("medprice", "MEDPRICE", (_H, _L), (), (), "Mean of high and low"),
    ("typprice", "TYPPRICE", (_H, _L, _C), (), (), "Mean of high, low and close"),
    ("wclprice", "WCLPRICE", (_H, _L, _C), (), (), "Mean of high, low and twice the close"),
    ("heikin_ashi", "HA", (_O, _H, _L, _C), (), (_O, _H, _L, _C), "Heikin-Ashi candle"),
)  # fmt: skip

CATALOGUE = MappingProxyType(
    {
        name: Entry(
            name=name, function=function, inputs=inputs, parameters=parameters, outputs=outputs, summary=summary
        )
        for name, function, inputs, parameters, outputs, summary in _ROWS
    }
)
"""Every indicator by its name, in the order of the documentation."""
