"""Names, mail addresses and numbers: what is taken stays what it was, and what could pass for another doesn't."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.addresses import MAX_EMAIL, MAX_NAME, Email, read_email, read_name, read_phone
from schemas.errors import CommandError, ErrorCode

LONGEST_LOCAL = "a" * 64


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("asha@example.com", "asha@example.com"),
        (" Asha.Patel@Example.COM ", "Asha.Patel@example.com"),
        ("a+b@example.test", "a+b@example.test"),
        ("o'neil@example.org", "o'neil@example.org"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@\uff45xample.com", "a@example.com"),
        ("ADMIN@example.com", "ADMIN@example.com"),
        (f"{LONGEST_LOCAL}@example.com", f"{LONGEST_LOCAL}@example.com"),
    ],
)
def test_an_address_is_shown_as_written_with_the_domain_in_ascii(text: str, shown: str) -> None:
    assert read_email(text).shown.casefold() == shown.casefold()
    assert read_email(text).shown.partition("@")[2] == shown.partition("@")[2]


def test_spellings_of_one_address_have_one_key() -> None:
    spellings = ["Asha@Example.com", "asha@example.com", "ASHA@EXAMPLE.COM", " aSHA@example.COM"]
    assert {read_email(text).key for text in spellings} == {"asha@example.com"}


def test_an_address_keeps_the_case_that_its_owner_writes() -> None:
    assert read_email("Asha@Example.com") == Email(shown="Asha@example.com", key="asha@example.com")


@pytest.mark.parametrize(
    "local",
    ["\u0430sha", "ash\u0430", "asha\u0301", "\u0430\u0455\u04bb\u0430", "\uff41sha", "asha\u200b", "\ud800", "आशा"],
)
def test_a_letter_that_looks_like_another_is_refused_before_the_at(local: str) -> None:
    with pytest.raises(CommandError, match=r"letters a to z.* - at `\$\.email`"):
        read_email(f"{local}@example.com")


def test_a_domain_that_looks_like_another_is_another() -> None:
    assert read_email("asha@ex\u0430mple.com") == Email(shown="asha@xn--exmple-4nf.com", key="asha@xn--exmple-4nf.com")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "asha",
        "@example.com",
        "asha@",
        "a@b@example.com",
        "asha@-x.com",
        "asha@localhost",
        "asha@[127.0.0.1]",
        '"a b"@example.com',
        "Asha <asha@example.com>",
        "asha@example.com\nBcc: x@example.com",
        "asha\x00@example.com",
        "asha@example\x00.com",
        "asha@\ud800.com",
        "asha@example.com\u202e",
        "'; DROP TABLE accounts;--@example.com",
        "<script>alert(1)</script>@example.com",
        f"{LONGEST_LOCAL}a@example.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        read_email(text, "$.to")
    assert caught.value.code is ErrorCode.BAD_REQUEST
    assert caught.value.message.endswith("- at `$.to`")
    assert "{" not in caught.value.message


def test_an_address_that_is_too_long_is_refused_for_that() -> None:
    with pytest.raises(CommandError, match="at most 254"):
        read_email("a" * 1_000_000 + "@example.com")


@given(st.text(st.characters(), max_size=40) | st.emails())
def test_any_text_is_an_ascii_address_or_refused(text: str) -> None:
    try:
        email = read_email(text)
    except CommandError:
        return
    assert email.shown.isascii()
    assert email.shown.isprintable()
    assert len(email.shown) <= MAX_EMAIL
    assert read_email(email.shown) == email
    assert read_email(email.shown.swapcase()).key == email.key


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+919876543210", "+919876543210"),
        ("+91 98765-43210", "+919876543210"),
        ("9876543210", "+919876543210"),
        ("98765 43210", "+919876543210"),
        ("+14155552671", "+14155552671"),
        ("+12345678", "+12345678"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_a_number_is_read_as_e164(text: str, number: str) -> None:
    assert read_phone(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "5876543210",
        "09876543210",
        "919876543210",
        "+1234567",
        "+1234567890123456",
        "+0123456789",
        "+91987654321O",
        "+91\u096f\u096e\u096d\u096c\u096b\u096a\u0969\u0968\u0967\u0966",
        "\u096f\u096e\u096d\u096c\u096b\u096a\u0969\u0968\u0967\u0966",
        "+919876543210\n",
        "+919876543210;ext=1",
        "98765\x0043210",
        "'; DROP TABLE accounts;--",
        "\ud800",
        "9" * 100_000,
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"telephone number.* - at `\$\.phone`") as caught:
        read_phone(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Asha Patel",
        "आशा पटेल",
        "ಕ್\u200dಷ",
        "રમેશ",
        "O'Neil; DROP TABLE accounts;--",
        "<script>alert(1)</script>",
        "{name} %s \\",
        "😀",
        "x" * MAX_NAME,
    ],
)
def test_a_name_comes_back_unchanged(name: str) -> None:
    assert read_name(name) == name


def test_a_name_is_trimmed_and_composed() -> None:
    assert read_name("  Ame\u0301lie ") == "Amélie"


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\n", "\t", "\x7f", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028"])
def test_a_name_holds_no_control_characters(sign: str) -> None:
    with pytest.raises(CommandError, match=r"control characters - at `\$\.name`"):
        read_name(f"Asha{sign}Patel")


@pytest.mark.parametrize("sign", ["\ud800", "\ue000", "\uffff"])
def test_a_name_holds_nothing_that_is_no_character(sign: str) -> None:
    with pytest.raises(CommandError, match="control"):
        read_name(f"Asha{sign}")


@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "x" * 1_000_000, " " * 1000 + "x", "\U0001d15e" * MAX_NAME])
def test_a_name_that_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="at most 100"):
        read_name(name)


@given(st.text(st.characters(), max_size=120))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = read_name(text)
    except CommandError:
        return
    assert len(name) <= MAX_NAME
    assert name == unicodedata.normalize("NFC", text.strip())
    assert read_name(name) == name
    assert "\x00" not in name
    name.encode()
