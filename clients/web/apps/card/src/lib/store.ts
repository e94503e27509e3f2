/**
 * What the phone keeps of a card, in IndexedDB: the device's key and credential, the card as it was last seen, and what
 * was begun and not answered. All programs of an origin share the database, each under its own name.
 */
import type { Bytes } from "./bytes.ts";
import type { Entry, MemberCard, Redemption } from "./types.ts";

export interface Device {
  keys: CryptoKeyPair;
  deviceId: string;
  memberId: string;
  credential: Bytes;
  /** Instants are milliseconds since 1970, of the server. */
  expiresMs: number;
  renewMs: number;
  burnFromMs: number;
}

/** A sign-in by e-mail that waits for its code: reading mail may take the page off a small phone's memory. */
export interface Pending {
  sessionId: string;
  email: string;
  expiresMs: number;
  keys: CryptoKeyPair;
}

export interface KeptCard {
  card: MemberCard;
  atMs: number;
}

/** A voucher that was asked for: the same id is sent until there is an answer. */
export interface AskedVoucher {
  voucherId: string;
  storeId: string;
  rewardId: string;
  points: number;
}

/** Points that were given and not answered for: the same id is sent until they are. */
export interface AskedDonation {
  commandId: string;
  projectId: string;
  points: number;
}

/** A reward that was asked for without a purchase and not answered for: the same id is sent until it is. */
export interface AskedReward {
  commandId: string;
  rewardId: string;
}

interface Shelf {
  device: Device;
  pending: Pending;
  card: KeptCard;
  entries: Entry[];
  voucher: AskedVoucher;
  donation: AskedDonation;
  reward: AskedReward;
  redemptions: Redemption[];
  offsetMs: number;
  /** The address for push messages that the gateway knows; none while they are off. */
  pushedTo: string;
}

const DATABASE = "tallystick-card";
const SHELF = "kept";

/** Its methods throw a `DOMException` when the browser has no storage for the page, or none left. */
export class Store {
  readonly #programId: string;
  #open: Promise<IDBDatabase> | null = null;

  constructor(programId: string) {
    this.#programId = programId;
  }

  async get<Name extends keyof Shelf>(name: Name): Promise<Shelf[Name] | undefined> {
    return this.#run(
      "readonly",
      (shelf) => shelf.get(this.#name(name)) as IDBRequest<Shelf[Name] | undefined>,
    );
  }

  async put<Name extends keyof Shelf>(name: Name, value: Shelf[Name]): Promise<void> {
    await this.#run("readwrite", (shelf) => shelf.put(value, this.#name(name)));
  }

  async drop(name: keyof Shelf): Promise<void> {
    await this.#run("readwrite", (shelf) => shelf.delete(this.#name(name)));
  }

  /** Forgets all of this program's. */
  async clear(): Promise<void> {
    const all = IDBKeyRange.bound(this.#name(""), this.#name("\uffff"));
    await this.#run("readwrite", (shelf) => shelf.delete(all));
  }

  #name(name: string): string {
    return `${this.#programId}/${name}`;
  }

  async #run<Result>(
    mode: IDBTransactionMode,
    ask: (shelf: IDBObjectStore) => IDBRequest<Result>,
  ): Promise<Result> {
    const transaction = await this.#begin(mode);
    return new Promise((resolve, reject) => {
      const request = ask(transaction.objectStore(SHELF));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? keptNothing());
    });
  }

  async #begin(mode: IDBTransactionMode): Promise<IDBTransaction> {
    const begin = async (): Promise<IDBTransaction> =>
      (await this.#database()).transaction(SHELF, mode, { durability: "strict" });
    return begin().catch((error: unknown) => {
      // Browsers close a database without a word, for example while the phone sleeps: it is opened anew.
      if (!(error instanceof DOMException && error.name === "InvalidStateError")) throw error;
      this.#open = null;
      return begin();
    });
  }

  #database(): Promise<IDBDatabase> {
    const closed = (): void => void (this.#open = null);
    this.#open ??= opened(closed).catch((error: unknown) => {
      closed();
      throw error;
    });
    return this.#open;
  }
}

/** The card goes on with what it has in memory when the phone has nothing, or no room, for it. */
export function without(error: unknown): undefined {
  if (!(error instanceof DOMException)) throw error;
}

const keptNothing = (): DOMException => new DOMException("the phone keeps nothing", "UnknownError");

function opened(onClose: () => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(SHELF);
    request.onsuccess = () => {
      request.result.onclose = onClose;
      resolve(request.result);
    };
    request.onerror = () => reject(request.error ?? keptNothing());
  });
}
