// The service worker: shows push messages of alerts while no page is open. What they hold is in docs/notifications.md.

/** What the button says that tells "I have seen it", as mails say it; a worker has no other words of its own. */
const SEEN = { en: "I have seen it", hi: "मैंने देख लिया", mr: "मी पाहिले", gu: "મેં જોયું", kn: "ನಾನು ನೋಡಿದೆ" };

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("push", (event) => {
  const message = read(event.data);
  // A push that shows nothing is held against the page, so that what can't be read is shown too.
  event.waitUntil(self.registration.showNotification(message.title ?? "tickhub", shown(message)));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { alert, acknowledge } = event.notification.data ?? {};
  event.waitUntil(event.action === "seen" ? fetch(acknowledge, { method: "POST" }) : open(alert ? `/#/alerts/${alert}` : "/#/alerts"));
});

function read(data) {
  try {
    return data?.json() ?? {};
  } catch {
    return {};
  }
}

function shown({ body = "", tag, lang, dir, time, alert, acknowledge }) {
  return {
    body, tag, lang, dir,
    timestamp: time ? Date.parse(time) : undefined,
    data: { alert, acknowledge },
    actions: acknowledge ? [{ action: "seen", title: SEEN[lang] ?? SEEN.en }] : [],
  };
}

/** Brings a page that is open to the front, else opens one. */
async function open(address) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((one) => new URL(one.url).pathname === "/");
  if (!page) return self.clients.openWindow(address);
  await page.focus();
  // A page that this worker doesn't steer can't be sent on by it, but goes by itself.
  page.postMessage({ open: address });
}
