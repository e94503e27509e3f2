/**
 * Sends what must happen exactly once: the body, with the id minted here, is kept before it is first sent and
 * dropped only when an answer has come. Without an answer the very same body is sent again, also after a reload.
 */
import { Away, call } from "./api.ts";

/** The part of `Storage` that is needed; tests bring their own. */
export interface Keeper {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export type Slot = "sale" | "undo" | "return" | "enrol";

/** Kept as text: what is sent again is what was sent before, byte for byte. */
export interface Pending {
  readonly path: string;
  readonly body: unknown;
}

type Send = (path: string, body: unknown) => Promise<unknown>;

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 3000;

export class Journal {
  readonly #keeper: Keeper;
  readonly #send: Send;
  readonly #pause: (ms: number) => Promise<void>;

  constructor(
    keeper: Keeper,
    send: Send = (path, body) => call("POST", path, body),
    pause: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  ) {
    this.#keeper = keeper;
    this.#send = send;
    this.#pause = pause;
  }

  /** What was sent and not answered when the page last ended, if anything. */
  pending(slot: Slot): Pending | undefined {
    const kept = this.#keeper.getItem(nameOf(slot));
    if (!kept) return undefined;
    try {
      return JSON.parse(kept) as Pending;
    } catch {
      this.#keeper.removeItem(nameOf(slot));
      return undefined;
    }
  }

  /** Sends until there is an answer. A refusal is an answer: nothing was kept, and it is thrown. */
  async once<Answer>(slot: Slot, pending: Pending, onWait: () => void = () => undefined): Promise<Answer> {
    this.#keeper.setItem(nameOf(slot), JSON.stringify(pending));
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        const answer = await this.#send(pending.path, pending.body);
        this.#keeper.removeItem(nameOf(slot));
        return answer as Answer;
      } catch (error) {
        if (!(error instanceof Away)) {
          this.#keeper.removeItem(nameOf(slot));
          throw error;
        }
      }
      onWait();
      await this.#pause(pauseMs);
    }
  }
}

function nameOf(slot: Slot): string {
  return `tallystick.pending.${slot}`;
}
