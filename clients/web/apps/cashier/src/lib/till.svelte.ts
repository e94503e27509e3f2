/** The till's live state: by events, by asking when events do not come, and whether the program answers at all. */
import { api } from "./api.ts";
import type { SaleAnswer, TillState } from "./types.ts";

const ASK_EVERY_MS = 2000;
/** Events may be slow to open; the program counts as away only when asking fails as well. */
const EVENTS_AGAIN_MS = 3000;

type SaleEvent = SaleAnswer & { basket_id: string };

class Till {
  state = $state<TillState | null>(null);
  reachable = $state(true);
  onSale: (sale: SaleEvent) => void = () => undefined;
  #events: EventSource | undefined;
  #asking: ReturnType<typeof setInterval> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  start(): void {
    void this.ask();
    this.#listen();
  }

  /** Asks for the state now; used when events are away and after what changes it. */
  async ask(): Promise<void> {
    try {
      this.take(await api.state());
    } catch {
      this.reachable = false;
      this.#askRegularly();
    }
  }

  take(state: TillState): void {
    this.state = state;
    this.reachable = true;
  }

  #listen(): void {
    this.#events?.close();
    const events = new EventSource("/api/v1/events");
    this.#events = events;
    events.addEventListener("state", (event) => {
      clearInterval(this.#asking);
      this.#asking = undefined;
      this.take(JSON.parse(event.data as string) as TillState);
    });
    events.addEventListener("sale", (event) => this.onSale(JSON.parse(event.data as string) as SaleEvent));
    events.onerror = () => {
      // Not every browser tries again after every kind of failure: close, and open anew after a while.
      events.close();
      this.#askRegularly();
      void this.ask();
      clearTimeout(this.#again);
      this.#again = setTimeout(() => this.#listen(), EVENTS_AGAIN_MS);
    };
  }

  #askRegularly(): void {
    this.#asking ??= setInterval(() => void this.ask(), ASK_EVERY_MS);
  }
}

export const till = new Till();
