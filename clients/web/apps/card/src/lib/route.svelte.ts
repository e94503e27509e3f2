/** The view on screen, kept in the address so that the phone's back gesture works: "#/rewards/voucher/ID". */
function partsOf(hash: string): string[] {
  return hash.replace(/^#\/?/, "").split("/");
}

class Route {
  #parts = $state.raw<string[]>(partsOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.#parts = partsOf(location.hash)));
  }

  /** The tab and the page below it: "", "rewards", "rewards/voucher". */
  get path(): string {
    return this.#parts.slice(0, 2).join("/");
  }

  get tab(): string {
    return this.#parts[0] ?? "";
  }

  /** What the page is about. */
  get id(): string {
    return this.#parts[2] ?? "";
  }

  go(path: string): void {
    location.hash = `#/${path}`;
  }
}

export const route = new Route();
