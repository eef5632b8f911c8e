"""A call says who calls, what has happened, the price and the keys, in words of the person's language."""

from xml.etree import ElementTree as ET

import pytest

from auth.identity import LANGUAGES
from notifiers.outbox.delivery import Kind
from notifiers.providers.call_script import MAX_TWIML, Answer
from notifiers.way import Way
from tests.notifiers.providers.phone_jobs import PRODUCT, SCRIPTS, phone_job

ACTION = "https://hub.example/api/v1/webhooks/twilio/voice/gather?d=41.1.abc&l=mr-IN"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("kind", list(Kind))
def test_every_occasion_is_said_in_every_language_without_figures(language: str, kind: Kind) -> None:
    script = SCRIPTS.of(phone_job(Way.VOICE, language=language, kind=kind))
    assert script.language == f"{language}-IN"
    assert script.voice == f"Google.{language}-IN-Wavenet-A"
    assert PRODUCT in script.words
    assert "RELIANCE" in script.words
    assert not any(char.isdigit() for char in script.words + script.keys)


def test_an_alert_is_said_in_marathi() -> None:
    assert SCRIPTS.of(phone_job(Way.VOICE, language="mr")).words == (
        "नमस्कार. Tickhub कडून हा अलर्ट कॉल आहे. RELIANCE दोन हजार पाचशे रुपयांच्या वर जातो. "
        "भाव दोन हजार पाचशे दहा रुपये आणि पन्नास पैसे आहे. वेळ: सकाळी दहा वाजून पंधरा मिनिटांनी."
    )


def test_the_user_s_own_words_are_said_instead() -> None:
    script = SCRIPTS.of(phone_job(Way.VOICE, language="mr", message="लक्ष द्या:\n{{price}} & <b>"))
    assert "RELIANCE: लक्ष द्या: दोन हजार पाचशे दहा दशांश पाच & <b>." in script.words


def test_what_is_said_can_be_answered_with_a_key_and_is_said_twice() -> None:
    script = SCRIPTS.of(phone_job(Way.VOICE))
    root = ET.fromstring(SCRIPTS.twiml(script, ACTION))
    assert [child.tag for child in root] == ["Gather", "Gather"]
    for gather in root:
        assert gather.attrib == {"action": ACTION, "method": "POST", "numDigits": "1", "timeout": "5"}
        (say,) = gather
        assert say.attrib == {"language": "mr-IN", "voice": "Google.mr-IN-Wavenet-A"}
        assert say.text == f"{script.words} {script.keys}"


def test_without_a_way_back_no_key_is_offered() -> None:
    script = SCRIPTS.of(phone_job(Way.VOICE), keys=False)
    root = ET.fromstring(SCRIPTS.twiml(script, None))
    assert [child.tag for child in root] == ["Say", "Say"]
    assert root[0].text == script.words
    assert script.keys == ""


def test_the_longest_message_fits_and_keeps_the_keys() -> None:
    script = SCRIPTS.of(phone_job(Way.VOICE, language="kn", message="99,99,999.99 & " * 33))
    twiml = SCRIPTS.twiml(script, ACTION)
    assert 1000 < len(twiml) <= MAX_TWIML
    assert all((say.text or "").endswith(script.keys) for say in ET.fromstring(twiml).iter("Say"))


def test_no_message_can_become_a_command() -> None:
    script = SCRIPTS.of(phone_job(Way.VOICE, message='</Say><Dial>+1900</Dial><Say a="'))
    assert {element.tag for element in ET.fromstring(SCRIPTS.twiml(script, ACTION)).iter()} == {
        "Response", "Gather", "Say",
    }  # fmt: skip


@pytest.mark.parametrize("answer", list(Answer))
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_key_is_answered_in_every_language(answer: Answer, language: str) -> None:
    root = ET.fromstring(SCRIPTS.answer(answer, f"{language}-IN"))
    assert [child.tag for child in root] == ["Say", "Hangup"]
    assert root[0].attrib["language"] == f"{language}-IN"


def test_a_language_that_nobody_speaks_is_answered_in_english() -> None:
    root = ET.fromstring(SCRIPTS.answer(Answer.STOPPED, "xx"))
    assert root[0].attrib == {"language": "en-IN", "voice": "Google.en-IN-Wavenet-A"}
