"""`/api/v1/users`: what a user says of themselves, and where they want to be reached."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from auth.account import Account
from auth.audit import Level
from auth.challenges import Kind
from auth.preferences import MAX_WATCHLIST, Preference
from channels.channel import ChannelNames
from hub.api.account_views import UserView, user_view
from hub.api.auth import Email, Language, Password
from hub.api.people import People
from hub.api.trail import event
from hub.http.endpoint import Call, Endpoint, Nothing, Reply
from notifiers.people.preferences import Notifications, check, read, stored
from schemas.errors import CommandError, ErrorCode
from schemas.market import moment_text

PHONE_S = 600

Theme = Literal["light", "dark", "system"]
WatchedText = Annotated[str, Meta(min_length=1, max_length=72)]
"""`NSE:RELIANCE`; without an exchange it is NSE's."""
TimeZone = Annotated[str, Meta(min_length=1, max_length=64)]


class MeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT users/me`: what is to change. A new address or number has to be verified again."""

    name: Annotated[str, Meta(max_length=100)] | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    phone: Annotated[str, Meta(max_length=32)] | UnsetType | None = UNSET
    password: Password | None = None
    """The present one; needed to change the address."""
    language: Language | UnsetType | None = UNSET
    theme: Theme | UnsetType | None = UNSET
    timezone: TimeZone | UnsetType | None = UNSET


class DeleteMeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `DELETE users/me`."""

    password: Password


class PhoneCodeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST users/me/phone/verify`: what `POST users/me/phone/send` answered, and the code in the SMS."""

    challenge: Annotated[str, Meta(min_length=1, max_length=128)]
    code: Annotated[str, Meta(min_length=6, max_length=6)]


class PhoneChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """A code was sent, and is to come back with this within so many seconds."""

    challenge: str
    expires_in: int


class PreferencesView(msgspec.Struct, frozen=True, kw_only=True):
    """How a user wants to be spoken to; null is the browser's own choice, or of `watchlist` that there was none yet."""

    language: str | None
    theme: str | None
    timezone: str | None
    notifications: Notifications
    watchlist: tuple[str, ...] | None


class PreferencesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT users/preferences`: what is to change."""

    language: Language | UnsetType | None = UNSET
    theme: Theme | UnsetType | None = UNSET
    timezone: TimeZone | UnsetType | None = UNSET
    notifications: Notifications | UnsetType = UNSET
    """All of it: what isn't said there is as it would be if nobody had said anything, `unsubscribed` excepted."""
    watchlist: Annotated[list[WatchedText], Meta(max_length=MAX_WATCHLIST)] | UnsetType | None = UNSET
    """All of it, in its order; what isn't listed yet may stand there too."""


class PushKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A browser's keys, in base64url."""

    p256dh: Annotated[str, Meta(min_length=1, max_length=128)]
    auth: Annotated[str, Meta(min_length=1, max_length=64)]


class PushBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST users/push-subscriptions`: a `PushSubscription` as browsers write it in JSON.

    Or an app's token of Firebase's, and nothing else.
    """

    endpoint: Annotated[str, Meta(min_length=1, max_length=2000)] | None = None
    keys: PushKeys | None = None
    fcm_token: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None


class PushGoneBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `DELETE users/push-subscriptions`: a browser's endpoint, or `fcm:` and an app's token."""

    endpoint: Annotated[str, Meta(min_length=1, max_length=2000)]


class PushView(msgspec.Struct, frozen=True, kw_only=True):
    """A push subscription's id."""

    id: int


class PushDevice(PushView, frozen=True, kw_only=True):
    """A browser or an app that gets push messages; `endpoint` is what `DELETE` takes."""

    endpoint: str
    user_agent: str
    created_at: str


class PushList(msgspec.Struct, frozen=True, kw_only=True):
    """All of a user's, the oldest first."""

    items: list[PushDevice]
    total: int


class UsersApi:
    """The routes of users."""

    def __init__(self, people: People, names: ChannelNames) -> None:
        self._people = people
        self._names = names

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        missing, conflict, denied = ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PERMISSION_DENIED
        changing = (missing, conflict, denied)
        return [
            Endpoint("GET", "/users/me", self.me),
            Endpoint("PUT", "/users/me", self.change_me, errors=changing),
            Endpoint("DELETE", "/users/me", self.delete_me, limit="login", errors=(missing, denied)),
            Endpoint(
                "POST",
                "/users/me/phone/send",
                self.send_phone_code,
                limit="login",
                status=202,
                errors=(missing, conflict),
            ),
            Endpoint(
                "POST",
                "/users/me/phone/verify",
                self.verify_phone,
                limit="login",
                errors=(ErrorCode.UNAUTHORIZED, missing),
            ),
            Endpoint("GET", "/users/preferences", self.preferences),
            Endpoint("PUT", "/users/preferences", self.change_preferences),
            Endpoint("GET", "/users/push-subscriptions", self.push_devices),
            Endpoint("POST", "/users/push-subscriptions", self.add_push, status=201),
            Endpoint("DELETE", "/users/push-subscriptions", self.remove_push, errors=(missing,)),
        ]

    async def me(self, call: Call) -> UserView:
        """Say who the bearer is."""
        return await self._people.view(call)

    async def change_me(self, call: Call, body: MeBody) -> UserView:
        """Change one's name, address, number, language, theme or time zone."""
        people, caller = self._people, call.caller
        if body.name is not UNSET or body.email is not UNSET or body.phone is not UNSET:
            await self._change_account(call, await people.account(call), body)
        changed = await people.preferences.put(
            caller.user, language=body.language, theme=body.theme, timezone=body.timezone
        )
        account = await people.accounts.get(caller.user)
        return user_view(caller, account, changed)

    async def _change_account(self, call: Call, account: Account, body: MeBody) -> None:
        people = self._people
        if body.email is not UNSET:
            people.post.admit()
            await people.check_password(call, account, body.password or "", place="$.password")
        changed = await people.accounts.update(account.id, name=body.name, email=body.email, phone=body.phone)
        await people.audit.record(event(call, "account.changed", actor=account.id))
        if changed.email != account.email and account.email_verified:
            people.write("address_changed", account, await people.language(account.id, call))
        if changed.email != account.email:
            await people.send_verification(changed, await people.language(account.id, call))

    async def delete_me(self, call: Call, body: DeleteMeBody) -> Nothing:
        """Delete one's account for good: logins, keys, preferences and all; the audit trail keeps the id alone."""
        people = self._people
        account = await people.account(call)
        await people.check_password(call, account, body.password, place="$.password")
        await people.forget(account)
        await people.audit.record(event(call, "account.deleted", level=Level.CRITICAL, actor=account.id))
        return Nothing()

    async def send_phone_code(self, call: Call) -> PhoneChallenge:
        """Have a code sent to one's telephone, to verify it."""
        people = self._people
        account = await people.account(call)
        if account.phone is None or account.phone_verified:
            raise CommandError(ErrorCode.CONFLICT, "There is no number to verify")
        await people.one_message(account, "sms")
        issued = await people.challenges.issue(
            Kind.VERIFY_PHONE, account.id, lifetime_s=PHONE_S, details={"phone": account.phone}, with_code=True
        )
        people.post.text("phone_code", account.phone, await people.language(account.id, call), code=str(issued.code))
        return PhoneChallenge(challenge=issued.token, expires_in=PHONE_S)

    async def verify_phone(self, call: Call, body: PhoneCodeBody) -> UserView:
        """Verify one's telephone with the code in the SMS."""
        people = self._people
        account = await people.account(call)
        found = await people.challenges.look(Kind.VERIFY_PHONE, body.challenge)
        yours = found is None or found.user_id == account.id  # another's is not used up either
        if yours:
            found = await people.challenges.redeem(Kind.VERIFY_PHONE, body.challenge, body.code)
            yours = await people.accounts.verify_phone(account.id, str(found.details.get("phone")))
        if not yours:
            raise CommandError(ErrorCode.UNAUTHORIZED, "The code is for a number that is no longer yours")
        await people.audit.record(event(call, "phone.verified"))
        return await self._people.view(call)

    # -- preferences and browsers -------------------------------------------------------------------------------------

    async def preferences(self, call: Call) -> PreferencesView:
        """Say how the bearer wants to be spoken to."""
        return _preferences_view(await self._people.preferences.get(call.caller.user))

    async def change_preferences(self, call: Call, body: PreferencesBody) -> PreferencesView:
        """Change language, theme, time zone, the watchlist, or what to be notified of and how.

        `notifications` come whole, but for what was unsubscribed, which stays so unless it is named.
        """
        given, preferences = body.notifications, self._people.preferences
        if given is not UNSET:
            check(given)
        changed = await preferences.put(
            call.caller.user,
            language=body.language,
            theme=body.theme,
            timezone=body.timezone,
            watchlist=self._watched(body.watchlist) if isinstance(body.watchlist, list) else body.watchlist,
        )
        if given is not UNSET:
            wished = given
            changed = await preferences.edit(call.caller.user, lambda before: stored(wished, before))
        return _preferences_view(changed)

    def _watched(self, given: Sequence[str]) -> list[str]:
        """The instruments as they are called everywhere, each once."""
        found: dict[str, None] = {}
        for number, text in enumerate(given):
            try:
                channel = self._names.parse(f"market:{text}")
            except CommandError as exc:
                place = f"$.watchlist[{number}]"
                raise CommandError(
                    ErrorCode.BAD_REQUEST, "Expected an instrument such as NSE:RELIANCE - at `{place}`", place=place
                ) from exc
            found[f"{channel.exchange}:{channel.symbol}"] = None
        return list(found)

    async def push_devices(self, call: Call) -> PushList:
        """List the browsers and apps that get the bearer's push messages."""
        items = [
            PushDevice(
                id=one.id, endpoint=one.endpoint, user_agent=one.user_agent, created_at=moment_text(one.created_at)
            )
            for one in await self._people.push_subscriptions.listed(call.caller.user)
        ]
        return PushList(items=items, total=len(items))

    async def add_push(self, call: Call, body: PushBody) -> Reply[PushView]:
        """Have push messages sent to this browser or app."""
        user, kept = call.caller.user, self._people.push_subscriptions
        match body:
            case PushBody(endpoint=str(endpoint), keys=PushKeys() as keys, fcm_token=None):
                made = await kept.add(user, endpoint, keys.p256dh, keys.auth, call.user_agent)
            case PushBody(endpoint=None, keys=None, fcm_token=str(token)):
                made = await kept.add_app(user, token, call.user_agent)
            case _:
                raise CommandError(ErrorCode.BAD_REQUEST, "Expected `endpoint` and `keys`, or `fcm_token`")
        return Reply(PushView(id=made), 201)

    async def remove_push(self, call: Call, body: PushGoneBody) -> Nothing:
        """Have no more push messages sent to this browser or app."""
        if not await self._people.push_subscriptions.remove(call.caller.user, body.endpoint):
            raise CommandError(ErrorCode.NOT_FOUND, "There is no such subscription")
        return Nothing()


def _preferences_view(one: Preference) -> PreferencesView:
    return PreferencesView(
        language=one.language,
        theme=one.theme,
        timezone=one.timezone,
        notifications=read(one.notifications),
        watchlist=one.watchlist,
    )
