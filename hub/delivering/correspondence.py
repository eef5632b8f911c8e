"""What those who send and those who answer about it have in common: the words, the links, who is whom.

Constructed once for a process, whichever of the two roles it has, since both must say the same: the preview of an SMS
is the SMS, and the link in a mail is one that the web knows.
"""

import time

from sqlalchemy.ext.asyncio import AsyncEngine

from auth.plans import Plans
from auth.sealing import Sealer
from channels.broker import Broker, Receipt
from channels.channel import ChannelNames
from hub.address import page_of
from hub.alerting.indicators import CatalogueReader
from hub.delivering.progress import Progress
from hub.encryption_keys import encryption_keys
from hub.instances.doorbell import Doorbell
from hub.post import dlt_of, product_of, sender_of_settings
from hub.vapid_key import vapid
from notifiers.conditions.parser import parse
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery
from notifiers.outbox.tokens import DeliveryTokens
from notifiers.people.addressees import Addressees
from notifiers.people.links import Links
from notifiers.people.reach import Reach
from notifiers.people.suppressions import Suppressions
from notifiers.people.webhook_endpoints import WebhookEndpoints
from notifiers.providers.call_script import Scripts
from notifiers.providers.sms_text import SmsTexts
from notifiers.providers.socket import Publish, SocketProvider
from notifiers.way import Way
from notifiers.wording.messages import Messages
from schemas.secret import Secret
from schemas.settings import Settings


class Correspondence:
    """Everything there is one of."""

    def __init__(
        self,
        settings: Settings,
        *,
        secret: str,
        engine: AsyncEngine,
        broker: Broker,
        names: ChannelNames,
        plans: Plans,
        alert_bell: Doorbell,
        delivery_bell: Doorbell,
    ) -> None:
        """Reads files: blocks for some milliseconds. Raises SettingsError."""
        self.alert_bell = alert_bell
        """Rings where alerts have changed."""
        self.delivery_bell = delivery_bell
        """Rings where there is something to deliver."""
        self.sealer = Sealer(encryption_keys(settings))
        indicators = CatalogueReader()
        self.indicators = indicators
        self.sender = sender_of_settings(settings)
        self.base_url = page_of(settings)
        self.messages = Messages(product_of(self.sender), lambda text: parse(text, indicators))
        self.links = Links(Secret(secret), self.base_url)
        self.tokens = DeliveryTokens(secret)
        self.addressees = Addressees(engine, plans)
        self.suppressions = Suppressions(engine, wall=time.time)
        self.reach = Reach(settings.webhook_networks)
        self.webhooks = WebhookEndpoints(engine, self.sealer, self.reach, wall=time.time)
        self.vapid = vapid(settings, self.sender.address)
        product = self.messages.product
        self.dlt = dlt_of(settings)
        self.sms_texts = SmsTexts(self.messages.of, product, dlt=self.dlt, wall=time.time)
        self.scripts = Scripts(self.messages.of, product)
        self.socket = SocketProvider(_publishing(broker, names), self.messages.of)
        self.progress = Progress(self.socket.progress)
        self.deliveries = Deliveries(engine, on_progress=self.progress.note, on_bad_address=self._suppress)

    async def _suppress(self, delivery: Delivery, reason: str) -> None:
        """Write no more to an address that a provider refuses for good."""
        found = (await self.addressees([delivery.user])).get(delivery.user)
        if found is None:
            return
        addresses = {Way.EMAIL: found.email, Way.SMS: found.phone, Way.VOICE: found.phone}
        if address := addresses.get(delivery.channel):
            await self.suppressions.add(delivery.channel, address, reason)


def _publishing(broker: Broker, names: ChannelNames) -> Publish:
    async def publish(channel: str, payload: bytes, key: str) -> Receipt:
        return await broker.publish(names.parse(channel), payload, key=key)

    return publish
