// The service worker: takes push messages of alerts while no page is open, and opens one when they are clicked.
self.addEventListener("push", (event) => {
  let message = {};
  try { message = event.data?.json() ?? {}; } catch { /* what is no JSON has no words to show */ }
  const shown = { body: message.body ?? "", tag: message.tag, data: { url: message.url ?? "/#/alerts" }, icon: "/favicon.ico" };
  event.waitUntil(self.registration.showNotification(message.title ?? "tickhub", shown));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.url ?? "/"));
});

/** Brings a page that is open to the front, else opens one. */
async function open(url) {
  const pages = await self.clients.matchAll({ type: "window" });
  const page = pages.find((one) => new URL(one.url).pathname === "/");
  if (!page) return self.clients.openWindow(url);
  await page.focus();
  return page.navigate ? page.navigate(url) : undefined;
}
