"""The providers that the settings name, those that write files where nothing is named."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from auth.push_subscriptions import PushSubscriptions
from hub.delivering.correspondence import Correspondence
from hub.post import OUTBOX, mailer_of
from notifiers.outbox.delivery import Kind
from notifiers.outbox.provider import Job, Provider
from notifiers.people.preferences import MessageKind
from notifiers.people.webhook_endpoints import WebhookEndpoint
from notifiers.providers.email import EmailProvider
from notifiers.providers.fcm import Fcm, account_of
from notifiers.providers.files import Outbox
from notifiers.providers.outward import Outward
from notifiers.providers.push import PushProvider
from notifiers.providers.sms_provider import FileSms, TwilioSms
from notifiers.providers.twilio import Twilio
from notifiers.providers.voice import FileVoice, TwilioVoice
from notifiers.providers.web_push import WebPush
from notifiers.providers.webhook import WebhookCaller, WebhookProvider
from notifiers.way import Way
from notifiers.wording.alert_letters import AlertWriter
from schemas.errors import SettingsError
from schemas.settings import Settings

CALLBACKS = "/api/v1/webhooks/twilio"


def providers_of(
    settings: Settings,
    correspondence: Correspondence,
    *,
    subscriptions: PushSubscriptions,
    on_webhook_disabled: Callable[[WebhookEndpoint], Awaitable[None]],
) -> Mapping[Way, Sequence[Provider]]:
    """By channel, in the order in which they are asked. Reads files: blocks. Raises SettingsError."""
    say = correspondence.messages.of
    webhooks = WebhookProvider(
        correspondence.webhooks, WebhookCaller(outward_of(correspondence)), say=say, on_disabled=on_webhook_disabled
    )
    return {
        Way.WEBSOCKET: [correspondence.socket],
        Way.EMAIL: [EmailProvider(mailer_of(settings, correspondence.sender), alert_writer(correspondence))],
        Way.SMS: [_sms(settings, correspondence)],
        Way.VOICE: [_voice(settings, correspondence)],
        Way.PUSH: [_push(settings, correspondence, subscriptions)],
        Way.WEBHOOK: [webhooks],
    }


def outward_of(correspondence: Correspondence) -> Outward:
    """A way out to addresses that users give."""
    return Outward(ssl.create_default_context(), correspondence.reach)


def alert_writer(correspondence: Correspondence) -> AlertWriter:
    """Writes the letters of alerts."""
    links = correspondence.links

    kinds: Mapping[Kind, MessageKind] = {Kind.ALERT: "alert", Kind.DIGEST: "digest", Kind.NOTICE: "notice"}

    return AlertWriter(
        correspondence.messages,
        correspondence.sender.domain,
        home=correspondence.base_url,
        unsubscribe_url=lambda user, kind: links.unsubscribe(user, Way.EMAIL, kinds.get(kind)),
        acknowledge_url=lambda user, trigger: links.acknowledge(user, trigger, Way.EMAIL),
    )


def twilio_of(settings: Settings) -> Twilio | None:
    """The account at Twilio, where one is set."""
    if settings.twilio_account_sid is None or settings.twilio_auth_token is None:
        return None
    return Twilio(settings.twilio_account_sid, settings.twilio_auth_token, base_url=settings.twilio_base_url)


def _callbacks(settings: Settings) -> str | None:
    """Where Twilio reports: only where it can reach us."""
    return settings.public_url + CALLBACKS if settings.public_url else None


def _sms(settings: Settings, correspondence: Correspondence) -> Provider:
    twilio = twilio_of(settings)
    if twilio is None:
        return FileSms(Outbox(settings.data_dir / OUTBOX), correspondence.sms_texts)
    return TwilioSms(
        twilio,
        correspondence.sms_texts,
        sender=settings.twilio_from,
        messaging_service_sid=settings.twilio_messaging_service_sid,
        callbacks=_callbacks(settings),
        wall=time.time,
    )


def _voice(settings: Settings, correspondence: Correspondence) -> Provider:
    """Calls need a number of one's own: a messaging service has none that calls."""
    twilio = twilio_of(settings)
    if twilio is None or not settings.twilio_from:
        return FileVoice(Outbox(settings.data_dir / OUTBOX), correspondence.scripts)
    return TwilioVoice(
        twilio, correspondence.scripts, sender=settings.twilio_from, callbacks=_callbacks(settings), wall=time.time
    )


def _push(settings: Settings, correspondence: Correspondence, subscriptions: PushSubscriptions) -> Provider:
    outward, links = outward_of(correspondence), correspondence.links

    def acknowledge(job: Job) -> str | None:
        trigger = job.delivery.trigger_id
        return None if trigger is None else links.acknowledge(job.delivery.user, trigger, Way.PUSH)

    return PushProvider(
        subscriptions,
        outward,
        browsers=WebPush(outward, correspondence.vapid),
        apps=_fcm(settings, outward),
        say=correspondence.messages.of,
        url_of=lambda _: correspondence.base_url,
        acknowledge_url_of=acknowledge,
    )


def _fcm(settings: Settings, outward: Outward) -> Fcm | None:
    path = settings.fcm_credentials_file
    if path is None:
        return None
    try:
        return Fcm(account_of(path.read_bytes()), outward)
    except OSError as exc:
        raise SettingsError([f"FCM_CREDENTIALS_FILE: can't read {path}: {exc.strerror}"]) from exc
    except ValueError as exc:
        raise SettingsError([f"FCM_CREDENTIALS_FILE: {exc}"]) from exc
