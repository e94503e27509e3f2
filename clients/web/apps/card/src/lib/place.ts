/** Where this page is: one build serves all programs, so the address says which one (`/card/PROGRAM/`). */
const NAMED = ["ref", "claim"] as const;

export type Brought = (typeof NAMED)[number];

export const programId = /^\/card\/([^/]+)\//.exec(location.pathname)?.[1] ?? "demo";

const nameOf = (what: string): string => `tallystick.card.${programId}.${what}`;

/**
 * Keeps what a link brought (`?ref=`, `?claim=`) until it is used, and takes it out of the address: a claim is a secret,
 * and an address is seen over shoulders and kept in histories.
 */
export function keepBrought(): void {
  const query = new URLSearchParams(location.search);
  if (!query.size) return;
  for (const name of NAMED) {
    const value = query.get(name);
    if (value && value.length <= 64) localStorage.setItem(nameOf(name), value);
  }
  history.replaceState(null, "", location.pathname + location.hash);
}

export function brought(name: Brought): string {
  return localStorage.getItem(nameOf(name)) ?? "";
}

export function used(name: Brought): void {
  localStorage.removeItem(nameOf(name));
}

/**
 * The device that this phone is, for all of its tabs; empty when it is none. It stays when the database was cleared, so
 * that such a phone is told apart from a new one.
 */
export const bound = {
  get: (): string => localStorage.getItem(nameOf("bound")) ?? "",
  set: (deviceId: string): void => localStorage.setItem(nameOf("bound"), deviceId),
  forget: (): void => localStorage.removeItem(nameOf("bound")),
};
