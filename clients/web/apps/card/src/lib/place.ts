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

/** Whether this phone was a card before: told apart from a new one when its database was cleared. */
export const bound = {
  get: (): boolean => localStorage.getItem(nameOf("bound")) === "yes",
  set: (): void => localStorage.setItem(nameOf("bound"), "yes"),
  forget: (): void => localStorage.removeItem(nameOf("bound")),
};
