// Keeps the card on the phone: everything is fetched once, at installation, and then served from here. A new build takes
// over when the card was closed, never under an open page. Calls of the gateway are not touched.
const CACHE = `tallystick-card ${self.registration.scope} __BUILD__`;
const FILES = ["./", ...__FILES__];
const KEPT = new Set(FILES.map((name) => new URL(name, self.registration.scope).href));

self.addEventListener("install", (event) => {
  const fresh = FILES.map((name) => new Request(name, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  const former = (name) => name !== CACHE && name.startsWith(`tallystick-card ${self.registration.scope} `);
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(former).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  if (method !== "GET") return;
  // A link to the card may carry a query; the page is the same.
  const page = mode === "navigate" && url.split(/[?#]/)[0] === self.registration.scope;
  const wanted = page ? self.registration.scope : url;
  if (KEPT.has(wanted)) {
    event.respondWith(
      caches
        .open(CACHE)
        .then((cache) => cache.match(wanted))
        .then((kept) => kept ?? fetch(event.request)),
    );
  }
});

// Messages of the program, shown as they come; a tap opens the card. Of one tag the phone shows one.
self.addEventListener("push", (event) => {
  const { title, ...shown } = event.data.json();
  event.waitUntil(self.registration.showNotification(title, { icon: "icon-192.png", ...shown }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(self.registration.scope));
});
