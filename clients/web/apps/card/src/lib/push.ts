/** Push messages of this browser (Push API, RFC 8030): its address at the push service of whoever made it. */
import { base64url, bytesOf } from "./bytes.ts";

const known = "serviceWorker" in navigator && "PushManager" in globalThis;

/** Whether push messages can come here: on an iPhone only the icon on the home screen has them. */
export async function canPush(): Promise<boolean> {
  return known && !!(await navigator.serviceWorker.getRegistration());
}

/** Whether its owner has said no to this page; only the browser's settings can undo that. */
export function isDenied(): boolean {
  return globalThis.Notification?.permission === "denied";
}

/** The address there is for the gateway's key; null when there is none, or it belongs to another key. */
export async function addressFor(key: string): Promise<PushSubscription | null> {
  const found = await current();
  const own = found?.options.applicationServerKey;
  return found && !isDenied() && own && base64url(own) === key ? found : null;
}

/**
 * Asks the owner, and then the push service, for a new address; null when the owner says no. To be called on a tap,
 * before anything is awaited, unless the owner has said yes. Throws a `DOMException` when the push service gives none.
 */
export async function subscribe(key: string): Promise<PushSubscription | null> {
  if ((await Notification.requestPermission()) !== "granted") return null;
  const registration = await navigator.serviceWorker.ready;
  // One that is there may belong to another key, or lead nowhere any more; the browser would give the same again.
  await unsubscribe();
  return registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(key) });
}

/**
 * Where this phone is now, when that is no longer where it was `told` to be: push services move phones, and browsers
 * drop addresses, without a word. `keyOf` gives the gateway's key. Null when nothing has changed, or when the owner has
 * taken the permission away.
 */
export async function moved(told: string, keyOf: () => Promise<string>): Promise<PushSubscription | null> {
  const now = await current();
  if (now?.endpoint === told || globalThis.Notification?.permission !== "granted") return null;
  return now ?? subscribe(await keyOf());
}

/** Ends the address: whatever is sent to it from now on is refused. Does what it can. */
export async function unsubscribe(): Promise<void> {
  await (await current())?.unsubscribe().catch(() => false);
}

async function current(): Promise<PushSubscription | null> {
  if (!known) return null;
  const registration = await navigator.serviceWorker.getRegistration();
  return (await registration?.pushManager.getSubscription().catch(() => null)) ?? null;
}
