"""Figures are said in words that a listener can only understand as that figure, in five languages."""

from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.identity import LANGUAGES
from notifiers.providers.spoken import Speech, speech

languages = st.sampled_from(sorted(LANGUAGES))


def heard(said: str, language: str) -> int:
    """The number that somebody hears: the words back into figures, knowing only each word's own value."""
    spoken = speech(language)
    values = {spoken.integer(value): value for value in range(100)}
    hundreds = {spoken.integer(100 * count): 100 * count for count in range(1, 10)}
    hundreds |= {
        spoken.integer(100 * count + 1).removesuffix(f" {spoken.integer(1)}"): 100 * count for count in range(1, 10)
    }
    scales = {}
    for size in (1000, 100_000, 10_000_000):
        one = spoken.integer(1)
        scales[spoken.integer(size).removeprefix(f"{one} ")] = size
        scales[spoken.integer(size + 1).removeprefix(f"{one} ").removesuffix(f" {one}")] = size
    total, words = 0, said.split()
    part = 0
    while words:
        for length in (2, 1):
            word = " ".join(words[:length])
            if word in scales:
                size = scales[word]
                if size == 10_000_000:
                    total, part = (total + part) * size, 0
                else:
                    total, part = total + part * size, 0
            elif word in hundreds or word in values:
                part += hundreds.get(word, values.get(word, 0))
            else:
                continue
            del words[:length]
            break
        else:
            raise AssertionError(f"{words[0]} in {said}")
    return total + part


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_number_below_a_hundred_has_a_word_of_its_own(language: str) -> None:
    words = [speech(language).integer(value) for value in range(100)]
    assert len(set(words)) == 100
    assert all(" " not in word for word in words)


@given(languages, st.one_of(st.integers(0, 10**7 - 1), st.integers(0, 10**12)))
def test_a_number_is_heard_as_what_it_is(language: str, value: int) -> None:
    assert heard(speech(language).integer(value), language) == value


@given(languages, st.integers(0, 10**9), st.integers(0, 10**9))
def test_two_prices_never_sound_the_same(language: str, one: int, other: int) -> None:
    said = [speech(language).money(Decimal(value) / 100) for value in (one, other)]
    assert (said[0] == said[1]) == (one == other)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "two thousand five hundred rupees and fifty paise"),
        ("hi", "दो हज़ार पाँच सौ रुपये और पचास पैसे"),
        ("mr", "दोन हजार पाचशे रुपये आणि पन्नास पैसे"),
        ("gu", "બે હજાર પાંચ સો રૂપિયા અને પચાસ પૈસા"),
        ("kn", "ಎರಡು ಸಾವಿರದ ಐನೂರು ರೂಪಾಯಿ ಮತ್ತು ಐವತ್ತು ಪೈಸೆ"),
    ],
)
def test_a_price_is_said_in_rupees_and_paise(language: str, said: str) -> None:
    assert speech(language).money(Decimal("2500.50")) == said


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "one crore twelve lakh thirty-four thousand five hundred sixty-seven"),
        ("hi", "एक करोड़ बारह लाख चौंतीस हज़ार पाँच सौ सड़सठ"),
        ("mr", "एक कोटी बारा लाख चौतीस हजार पाचशे सदुसष्ट"),
        ("gu", "એક કરોડ બાર લાખ ચોત્રીસ હજાર પાંચ સો સડસઠ"),
        ("kn", "ಒಂದು ಕೋಟಿಯ ಹನ್ನೆರಡು ಲಕ್ಷದ ಮೂವತ್ತನಾಲ್ಕು ಸಾವಿರದ ಐನೂರ ಅರವತ್ತೇಳು"),
    ],
)
def test_a_number_is_said_in_lakhs_and_crores(language: str, said: str) -> None:
    assert speech(language).integer(11_234_567) == said


def test_marathi_has_a_word_of_its_own_for_a_hundred_alone() -> None:
    marathi = speech("mr")
    assert [marathi.integer(value) for value in (100, 101, 200, 245)] == ["शंभर", "एकशे एक", "दोनशे", "दोनशे पंचेचाळीस"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1", "one rupee"),
        ("0.01", "one paisa"),
        ("0", "zero rupees"),
        ("0.75", "seventy-five paise"),
        ("83.4525", "eighty-three point four five two five rupees"),
        ("-2.5", "minus two rupees and fifty paise"),
        ("100000000000", "ten thousand crore rupees"),
    ],
)
def test_a_price_s_details(value: str, said: str) -> None:
    assert speech("en").money(Decimal(value)) == said


@pytest.mark.parametrize(
    ("language", "at", "said"),
    [
        ("en", "14:35", "two thirty-five PM"),
        ("en", "09:05", "nine oh five AM"),
        ("en", "00:00", "twelve AM"),
        ("hi", "14:35", "दोपहर दो बजकर पैंतीस मिनट"),
        ("hi", "23:55", "रात ग्यारह बजकर पचपन मिनट"),
        ("mr", "14:35", "दुपारी दोन वाजून पस्तीस मिनिटांनी"),
        ("mr", "09:00", "सकाळी नऊ वाजता"),
        ("gu", "17:15", "સાંજે પાંચ વાગીને પંદર મિનિટે"),
        ("kn", "12:30", "ಮಧ್ಯಾಹ್ನ ಹನ್ನೆರಡು ಗಂಟೆ ಮೂವತ್ತು ನಿಮಿಷಕ್ಕೆ"),
    ],
)
def test_a_time_is_said_by_the_part_of_the_day(language: str, at: str, said: str) -> None:
    assert speech(language).clock(time.fromisoformat(at)) == said


@given(languages)
def test_no_two_minutes_of_a_day_sound_the_same_within_a_half_of_it(language: str) -> None:
    said = {speech(language).clock(time(hour, minute)) for hour in range(8, 20) for minute in range(60)}
    assert len(said) == 12 * 60


def test_a_day_is_said_with_its_month() -> None:
    assert speech("mr").day(date(2026, 11, 21)) == "एकवीस नोव्हेंबर"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at ₹2,500.50 now", "at two thousand five hundred rupees and fifty paise now"),
        ("Rs. 5 or Rs 6", "five rupees or six rupees"),
        ("-1.25%, +2 %", "minus one point two five percent, plus two percent"),
        ("10:15:02 IST", "ten fifteen AM"),
        ("21-11-2026 10:15:02 IST.", "twenty-one November ten fifteen AM."),
        ("2400..2500", "two thousand four hundred..two thousand five hundred"),
        ("24,512.35.", "twenty-four thousand five hundred twelve point three five."),
        ("code 007", "code zero zero seven"),
        ("NIFTY26DECFUT on 5m x-5 a1 25:99 40-40-2026", "NIFTY26DECFUT on 5m x-5 a1 25:99 40-40-2026"),
        ("1" * 16, " ".join(["one"] * 16)),
        ("no figures", "no figures"),
        ("", ""),
    ],
)
def test_figures_in_a_text_are_put_into_words(text: str, said: str) -> None:
    assert speech("en").text(text) == said


def test_figures_in_a_marathi_text_are_put_into_marathi() -> None:
    assert speech("mr").text("किंमत ₹2,500 च्या वर, 2.5% वाढ") == "किंमत दोन हजार पाचशे रुपयांच्या वर, दोन दशांश पाच टक्के वाढ"


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("mr", "2% च्या वर", "दोन टक्क्यांच्या वर"),
        ("mr", "10:15:02 IST पासून", "सकाळी दहा वाजून पंधरा मिनिटांपासून"),
        ("gu", "₹5 થી ઉપર", "પાંચ રૂપિયાથી ઉપર"),
        ("kn", "₹5 ಕ್ಕಿಂತ ಮೇಲೆ", "ಐದು ರೂಪಾಯಿಗಿಂತ ಮೇಲೆ"),
    ],
)
def test_what_follows_a_figure_is_joined_to_its_word(language: str, text: str, said: str) -> None:
    assert speech(language).text(text) == said


@given(languages, st.text(st.sampled_from("0123456789.,:-+%₹ aRs"), max_size=40))
def test_any_text_can_be_said(language: str, text: str) -> None:
    speech(language).text(text)


def test_a_language_that_nothing_is_written_for_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        Speech("ta")
