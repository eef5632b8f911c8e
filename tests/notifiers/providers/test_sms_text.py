"""An SMS is known before it is sent: its words, its parts, its registration."""

from datetime import time

import pytest

from auth.identity import LANGUAGES
from notifiers.errors import Refused
from notifiers.outbox.delivery import Kind
from notifiers.providers.dlt import Category, Dlt, Template
from notifiers.providers.segments import Encoding, segments
from notifiers.way import Way
from tests.notifiers.providers.phone_jobs import NOW_S, phone_job, texts


def registered(category: Category, **changes: str) -> Dlt:
    known = {"body": "{#var#} चा अलर्ट. किंमत {#var#}. - {#var#}"} | changes
    template = Template(
        template_id="1107", header="TCKHUB", category=category, variables=("symbol", "price", "product"), **known
    )
    return Dlt("1101", {("alert", "mr"): template}, promotional_hours=(time(11), time(21)))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("kind", list(Kind))
def test_every_occasion_is_told_in_every_language_and_counted(language: str, kind: Kind) -> None:
    sms = texts().of(phone_job(Way.SMS, language=language, kind=kind))
    assert sms.language == language
    assert sms.segments == segments(sms.text)
    assert "RELIANCE" in sms.text


def test_english_keeps_to_the_cheap_alphabet() -> None:
    sms = texts().of(phone_job(Way.SMS, language="en"))
    assert sms.segments.encoding is Encoding.GSM_7
    assert "Rs 2,510.50" in sms.text


def test_a_message_of_the_user_s_is_written_plainly_where_that_is_enough() -> None:
    sms = texts().of(phone_job(Way.SMS, language="en", message="It\u2019s at {{price}} \u2013 act!"))
    assert sms.text == "It's at 2,510.50 - act!"
    assert sms.segments.count == 1


def test_marathi_is_written_in_its_own_letters() -> None:
    sms = texts().of(phone_job(Way.SMS, language="mr"))
    assert sms.segments.encoding is Encoding.UCS_2
    assert sms.segments.count >= 2
    assert "₹2,510.50" in sms.text


def test_a_text_that_no_sms_can_hold_is_refused() -> None:
    with pytest.raises(Refused, match="too long"):
        texts().of(phone_job(Way.SMS, message="{{condition}} " * 40, condition="price > 1 and " * 10 + "price > 2"))


def test_a_registered_text_names_its_template() -> None:
    sms = texts(registered(Category.SERVICE)).of(phone_job(Way.SMS))
    assert sms.text == "RELIANCE चा अलर्ट. किंमत ₹2,510.50. - Tickhub"
    assert (sms.template_id, sms.header, sms.entity_id, sms.held_s) == ("1107", "TCKHUB", "1101", 0)


def test_promotion_says_for_how_long_it_waits() -> None:
    sms = texts(registered(Category.PROMOTIONAL), now_s=NOW_S - 2).of(phone_job(Way.SMS))
    assert sms.held_s == 45 * 60  # it is 10:15


def test_what_is_not_registered_is_refused() -> None:
    with pytest.raises(Refused, match="DLT digest mr"):
        texts(registered(Category.SERVICE)).of(phone_job(Way.SMS, kind=Kind.DIGEST))
