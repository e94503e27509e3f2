/** The card on this phone: who it is for, what it showed last, and how it asks the gateway. */
import { bytesOf } from "./bytes.ts";
import { isOff, offsetOf } from "./clock.ts";
import { CTI_BYTES, digitsOf, signCode } from "./code.ts";
import { assertionOf, publicJwk, signWith } from "./keys.ts";
import { bound, brought, programId, used } from "./place.ts";
import { moved, unsubscribe } from "./push.ts";
import { Away, Failed, post } from "./rpc.ts";
import { Store, without } from "./store.ts";
import type { Device } from "./store.ts";
import { ms, num } from "./types.ts";
import type * as T from "./types.ts";

/** `out`: sign in; `unbound`: this phone's key is gone or counts no more; `erased`: the member is. */
export type Stage = "starting" | "out" | "unbound" | "in" | "erased";

/** What became of a claim that a link brought. */
export interface Claimed {
  points: number;
  refused: string;
}

const TOKEN_SPARE_MS = 15_000;
const REFRESH_EVERY_MS = 60_000;

class Session {
  readonly store = new Store(programId);
  stage = $state<Stage>("starting");
  program = $state.raw<T.CardProgram | null>(null);
  /** Whether the gateway has said that it has no such program. */
  unknown = $state(false);
  card = $state.raw<T.MemberCard | null>(null);
  /** When `card` was true, by this phone. */
  atMs = $state(0);
  online = $state(true);
  offsetMs = $state(0);
  burnFromMs = $state(0);
  deviceId = $state("");
  claimed = $state.raw<Claimed | null>(null);
  #device: Device | null = null;
  #token = { text: "", untilMs: 0 };
  #buying: Promise<string> | null = null;
  #refreshing: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** Whether this phone's clock is so far off that its owner should know. */
  readonly clockOff = $derived(isOff(this.offsetMs));

  /** The server's time as far as this phone knows it. */
  get nowMs(): number {
    return Date.now() + this.offsetMs;
  }

  /** Shows what is kept, which needs no network, and then asks for what is new. */
  async start(): Promise<void> {
    await this.#takeUp();
    // What could not be removed when its owner signed out is removed now.
    if (!bound.get() && (await this.store.get("device").catch(without)))
      await this.store.clear().catch(without);
    void this.refresh();
    setInterval(() => document.visibilityState === "visible" && void this.refresh(), REFRESH_EVERY_MS);
    document.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "visible" && void this.refresh(),
    );
    addEventListener("online", () => void this.refresh());
    addEventListener("offline", () => (this.online = false));
    addEventListener("storage", () => void this.#follow().then(() => this.refresh()));
  }

  /** Takes up whoever this phone speaks for when it is somebody else than here: another tab has signed in or out. */
  async #follow(): Promise<void> {
    if (bound.get() === this.deviceId) return;
    if (this.#device) {
      this.#forget();
      this.stage = "starting";
    }
    await this.#takeUp();
  }

  async #takeUp(): Promise<void> {
    const mark = bound.get();
    const [device, kept, offsetMs] = await Promise.all([
      this.store.get("device").catch(without),
      this.store.get("card").catch(without),
      this.store.get("offsetMs").catch(without),
    ]);
    // Somebody has signed in or out meanwhile.
    if (bound.get() !== mark) return this.#takeUp();
    this.offsetMs = offsetMs ?? this.offsetMs;
    // A key that could not be removed when its owner signed out is not taken up again.
    if (device && mark) {
      bound.set(device.deviceId);
      this.#hold(device);
      this.card = kept?.card ?? null;
      this.atMs = kept?.atMs ?? 0;
      this.stage = "in";
    } else this.stage = mark ? "unbound" : "out";
  }

  /** Asks for the card as it is now; what was shown stays where there is no answer. Never throws. */
  refresh(): Promise<void> {
    if (!this.#refreshing)
      return (this.#refreshing = this.#refresh().finally(() => (this.#refreshing = null)));
    // The one under way may have asked before the change that the caller wants to see: one more for all who ask now.
    return (this.#next ??= this.#refreshing.then(() => {
      this.#next = null;
      return this.refresh();
    }));
  }

  async #refresh(): Promise<void> {
    try {
      await this.#follow();
      this.program ??= await this.public<T.CardProgram>("SignInService/GetCardProgram", {});
      if (this.stage !== "in") return;
      const device = this.#device;
      const sentMs = Date.now();
      const { card } = await this.call<{ card: T.MemberCard }>("AppService/GetCard");
      this.#heardTime(ms(card.asOf), sentMs);
      if (card.status === "MEMBER_STATUS_ERASED") return await this.end("erased");
      this.card = card;
      this.atMs = Date.now();
      await this.#whileHeld(device, this.store.put("card", { card, atMs: this.atMs }).catch(without));
      await this.#renewWhenDue();
      await this.#claim();
      await this.#followPush();
    } catch (error) {
      if (!(error instanceof Away || error instanceof Failed)) throw error;
      this.unknown = error instanceof Failed && error.reason === "PROGRAM_NOT_FOUND";
    }
  }

  /** Calls a method that needs no token. Throws `Failed` or `Away`. */
  async public<Answer>(method: string, message: object): Promise<Answer> {
    return this.#heard(() => post<Answer>(method, { programId, ...message }));
  }

  /** Calls a method for this member. Throws `Failed` or `Away`, the latter also when the member has gone meanwhile. */
  async call<Answer>(method: string, message: object = {}): Promise<Answer> {
    const device = this.#device;
    const whole = { memberId: device?.memberId, ...message };
    const token = await this.#whileHeld(device, this.#accessToken());
    const asked = this.#heard(() => post<Answer>(method, whole, token));
    try {
      return await this.#whileHeld(device, asked);
    } catch (error) {
      if (!(error instanceof Failed) || error.code !== "unauthenticated") throw error;
      this.#token.untilMs = 0;
      const other = await this.#whileHeld(device, this.#accessToken());
      const again = this.#heard(() => post<Answer>(method, whole, other));
      return this.#whileHeld(device, again);
    }
  }

  /** What was asked for a device; an `Away` once this phone speaks for it no longer: it is not for whoever is here now. */
  #whileHeld<Answer>(device: Device | null, asked: Promise<Answer>): Promise<Answer> {
    return asked.finally(() => {
      if (this.#held?.deviceId !== device?.deviceId) throw new Away("signed out");
    });
  }

  /** The device, unless another tab has signed out or somebody else in and this one has not followed yet. */
  get #held(): Device | null {
    return this.deviceId === bound.get() ? this.#device : null;
  }

  /** Lets push messages come to an address of this phone. Throws `Failed` or `Away`. */
  async pushTo(address: PushSubscription): Promise<void> {
    const { endpoint, keys } = address.toJSON();
    await this.call("NotificationService/SetPushSubscription", {
      ...{ endpoint, p256dh: keys?.["p256dh"], auth: keys?.["auth"] },
    });
    await this.store.put("pushedTo", address.endpoint);
  }

  /** Ends push messages to this phone. Throws `Failed` or `Away`. */
  async pushNoMore(): Promise<void> {
    await this.store.drop("pushedTo");
    await unsubscribe();
    await this.call("NotificationService/RemovePushSubscription");
  }

  /** What the QR shows now; empty when the credential is over, which takes two weeks without a line. */
  async makeCode(): Promise<string> {
    const device = this.#held;
    if (!device || this.nowMs >= device.expiresMs) return "";
    const code = await signCode((message) => signWith(device.keys, message), device.credential, {
      programId,
      issuedS: Math.floor(this.nowMs / 1000),
      cti: crypto.getRandomValues(new Uint8Array(CTI_BYTES)),
    });
    return digitsOf(code);
  }

  /** The key as a sign-in sends it. */
  async deviceKey(keys: CryptoKeyPair, label: string): Promise<{ publicJwk: string; label: string }> {
    return { publicJwk: await publicJwk(keys), label };
  }

  /** This phone speaks for a member from now on. */
  async signedIn(keys: CryptoKeyPair, answer: T.SignedIn): Promise<void> {
    const device: Device = { keys, memberId: answer.memberId, ...credentialOf(answer) };
    this.#forget();
    await this.store.clear();
    await this.store.put("device", device);
    bound.set(device.deviceId);
    used("ref");
    this.#hold(device);
    this.#token = { text: answer.accessToken, untilMs: Date.now() + num(answer.expiresInS) * 1000 };
    this.stage = "in";
    // Whatever was looked at before, the card comes first.
    location.hash = "#/";
    // Asked for once a person has something to lose; some browsers decide by themselves.
    void navigator.storage?.persist?.();
    await this.refresh();
  }

  /** Forgets the member on this phone. The key is gone with it or never used again, and no message finds the way here. */
  async end(stage: "out" | "erased"): Promise<void> {
    this.#forget();
    bound.forget();
    await this.store.clear().catch(without);
    await unsubscribe();
    this.stage = stage;
  }

  /** Before anything is awaited: what is still on its way is for nobody from now on. */
  #forget(): void {
    this.#device = null;
    this.deviceId = "";
    this.#token = { text: "", untilMs: 0 };
    this.#buying = null;
    this.card = null;
    this.claimed = null;
  }

  #hold(device: Device): void {
    this.#device = device;
    this.burnFromMs = device.burnFromMs;
    this.deviceId = device.deviceId;
  }

  async #renewWhenDue(): Promise<void> {
    const device = this.#device;
    if (!device || this.nowMs < device.renewMs) return;
    const answer = await this.call<{ device: T.CardDevice; credential: T.Credential }>(
      "CodeService/RenewCredential",
      { deviceId: device.deviceId },
    );
    const renewed = { ...device, ...credentialOf(answer) };
    this.#hold(renewed);
    await this.store.put("device", renewed).catch(without);
  }

  /** Whoever wanted messages gets them wherever the phone is by now. */
  async #followPush(): Promise<void> {
    const device = this.#device;
    const told = await this.store.get("pushedTo").catch(without);
    if (!told) return;
    const key = async (): Promise<string> =>
      (await this.call<T.PushKey>("NotificationService/GetPushKey")).applicationServerKey;
    // Where no address is to be had now, the next refresh asks again.
    const address = await this.#whileHeld(device, moved(told, key).catch(without));
    if (address) await this.pushTo(address).catch(without);
  }

  async #claim(): Promise<void> {
    const code = brought("claim");
    if (!code) return;
    let outcome: { decision?: T.Decision; refused?: string };
    try {
      outcome = await this.call("WebshopService/RedeemClaim", { code });
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      outcome = { refused: "CLAIM_REFUSAL_UNKNOWN" };
    }
    used("claim");
    const { decision, refused } = outcome;
    this.claimed = {
      points: num(decision?.posted?.benefits?.earnedPoints),
      refused: refused ?? decision?.refused?.reason ?? "",
    };
    if (!this.claimed.refused) void this.refresh();
  }

  async #accessToken(): Promise<string> {
    if (Date.now() < this.#token.untilMs - TOKEN_SPARE_MS) return this.#token.text;
    if (this.#buying) return this.#buying;
    const buying = this.#buy().finally(() => {
      // Another member may be buying by now.
      if (this.#buying === buying) this.#buying = null;
    });
    return (this.#buying = buying);
  }

  async #buy(): Promise<string> {
    const device = this.#device;
    if (!device) throw new Away("nobody is signed in");
    const ask = async (): Promise<{ accessToken: string; expiresInS?: number }> => {
      const { deviceId, memberId, keys } = device;
      const assertion = await assertionOf(keys, { deviceId, programId, nowMs: this.nowMs });
      return this.#whileHeld(device, this.public("SignInService/IssueAppToken", { memberId, assertion }));
    };
    const sentMs = Date.now();
    const answer = await ask().catch((error: unknown) => {
      // A phone whose clock is wrong is told the time and signs again.
      const serverMs = error instanceof Failed ? Number(error.metadata["server_ms"]) : NaN;
      if (!this.#heardTime(serverMs, sentMs)) throw this.#turnedAway(error);
      return ask().catch((again: unknown) => {
        throw this.#turnedAway(again);
      });
    });
    this.#token = { text: answer.accessToken, untilMs: Date.now() + num(answer.expiresInS) * 1000 };
    return answer.accessToken;
  }

  /** The device counts no more when the gateway knows it no longer; the key stays until a person signs in again. */
  #turnedAway(error: unknown): unknown {
    const ends = ["unauthenticated", "permission_denied", "not_found"];
    if (error instanceof Failed && ends.includes(error.code)) this.stage = "unbound";
    return error;
  }

  #heardTime(serverMs: number, sentMs: number): boolean {
    const offsetMs = serverMs ? offsetOf(serverMs, sentMs, Date.now()) : null;
    if (offsetMs === null) return false;
    this.offsetMs = offsetMs;
    void this.store.put("offsetMs", offsetMs).catch(without);
    return true;
  }

  async #heard<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await ask();
      this.online = true;
      return answer;
    } catch (error) {
      this.online = error instanceof Failed;
      throw error;
    }
  }
}

type Renewal = { device: T.CardDevice; credential: T.Credential };

function credentialOf({ device, credential }: Renewal): Omit<Device, "keys" | "memberId"> {
  return {
    deviceId: device.deviceId,
    credential: bytesOf(credential.credential),
    expiresMs: ms(credential.expiresAt),
    renewMs: ms(credential.renewAt),
    burnFromMs: ms(device.burnFrom),
  };
}

export const session = new Session();
