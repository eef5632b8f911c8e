"""An SMS is counted as it is charged: against a packer that goes letter by letter and knows the rules alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.providers.segments import Encoding, Segments, plain, segments

ESCAPED = "^{}\\[~]|€\f"
GSM = (
    "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "`" + ESCAPED)
    + "\n\r@£¥èéùìòÇØøÅåΔÆæßÉ¤¡ÄÖÑÜ§¿äöñüàΦΓΛΩΠΨΣΘΞ"
)


def packed(text: str) -> int:
    """The parts of a text, each as a list of letters that are never taken apart; independent of what is tested."""
    gsm = all(char in GSM + ESCAPED for char in text)
    letters = [("\x1b" + char if char in ESCAPED else char) if gsm else char for char in text]
    lengths = [len(letter) if gsm else len(letter.encode("utf-16-le")) // 2 for letter in letters]
    if sum(lengths) <= (160 if gsm else 70):
        return 1
    room = 153 if gsm else 67
    parts: list[list[int]] = [[]]
    for length in lengths:
        if sum(parts[-1]) + length > room:
            parts.append([])
        parts[-1].append(length)
    return len(parts)


texts = st.one_of(
    st.text(st.sampled_from(GSM + ESCAPED), max_size=500),
    st.text(st.sampled_from("abc€^😀मराठी₹"), max_size=250),
    st.integers(60, 70).map(lambda count: "म" * count + "😀" + "म" * count),
    st.integers(148, 162).map(lambda count: "a" * count + "€" + "b" * count),
)


@given(texts)
def test_a_text_has_as_many_parts_as_a_packer_makes_of_it(text: str) -> None:
    assert segments(text).count == packed(text)


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the escape would stand at the end of a part
        ("₹", "UCS-2", 1, 1),
        ("म" * 70, "UCS-2", 70, 1),
        ("म" * 71, "UCS-2", 71, 2),
        ("a" * 66 + "😀" + "a" * 66, "UCS-2", 134, 3),  # 134 are twice 67, but the pair would be torn apart
        ("`", "UCS-2", 1, 1),
    ],
    ids=str,
)
def test_the_known_cases(text: str, encoding: str, units: int, count: int) -> None:
    assert segments(text) == Segments(Encoding(encoding), units, count)


@given(st.text(max_size=300))
def test_a_plainer_text_is_never_dearer(text: str) -> None:
    before, after = segments(text), segments(plain(text))
    assert after.count <= before.count or after.encoding is not before.encoding
    assert plain(plain(text)) == plain(text)


def test_what_only_looks_better_is_written_plainly() -> None:
    text = "\u201cTCS\u201d \u2014 \u20b92,500 \u2026 it\u2019s \u2265 \u20b9 2"
    assert plain(text) == '"TCS" - Rs 2,500 ... it\'s >= Rs 2'


def test_a_text_that_needs_its_letters_keeps_them_all() -> None:
    text = "किंमत ₹2,500 \u2013 \u2018ठीक\u2019"
    assert plain(text) == text
