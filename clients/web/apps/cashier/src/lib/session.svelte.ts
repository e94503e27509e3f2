/** The sale in hand: from a scan to its answer, the choice of points and rewards, the sale, and its undoing. */
import type { Scan } from "@tallystick/scan";

import { basketOf, spentAsMoney, step, totalOf } from "./amount.ts";
import { Away, Refused, api } from "./api.ts";
import { Journal } from "./journal.ts";
import type { Pending } from "./journal.ts";
import { prefs } from "./prefs.svelte.ts";
import { play } from "./sound.ts";
import { till } from "./till.svelte.ts";
import { verdictOn } from "./tone.ts";
import type {
  Basket,
  ChallengeMet,
  Identified,
  Member,
  Quote,
  QuoteRequest,
  SaleAnswer,
  SaleRequest,
  SaleView,
  TillState,
  UndoAnswer,
  Voucher,
} from "./types.ts";

export type Stage = "idle" | "asking" | "refused" | "sale" | "receipt";

/** How many points to spend: none, as many as possible, or a number of the cashier's choice. */
export type Spend = { readonly mode: "none" | "most" } | { readonly mode: "exact"; readonly points: number };

const QUOTE_PAUSE_MS = 30;

export const journal = new Journal(localStorage);

class Session {
  stage = $state<Stage>("idle");
  member = $state<Member | null>(null);
  voucher = $state<Voucher | null>(null);
  /** Why the last scan, or the last wish, was refused; `AWAY` when nobody answered. */
  refusal = $state<{ reason: string; message: string } | null>(null);
  /** The refusal is of a scan in the middle of a sale, or of the sale: it stays until something else is done. */
  #refusalStays = false;
  #basketQuoted = "";
  amountMinor = $state(0);
  spend = $state<Spend>({ mode: "none" });
  rewardIds = $state<string[]>([]);
  /** What the present choice gives, and what spending the most would. */
  quote = $state<Quote | null>(null);
  mostQuote = $state<Quote | null>(null);
  sending = $state(false);
  waiting = $state(false);
  receipt = $state<SaleAnswer | null>(null);
  undone = $state<UndoAnswer | null>(null);
  /** The challenges that the sale on screen has met, once the gateway has said so. */
  met = $state.raw<readonly ChallengeMet[]>([]);
  /** The sale of which that is known for good. */
  #metKnown = "";
  #metTurn = 0;
  /** The last sale of this screen, as long as it can be undone with one tap. */
  last = $state<SaleAnswer | null>(null);
  /** A receipt that was scanned: the return view takes it from here. */
  scannedSale = $state<{ sale: SaleView; receipt: string } | null>(null);
  #voucherScan = "";
  /** Something could be redeemed at some time since the scan: what was offered does not vanish under a finger. */
  offered = $state(false);
  /** The till's state in which the member was last looked at. */
  #metIn: TillState | null = null;
  #scanTurn = 0;
  #quoteTurn = 0;
  #quoted: Promise<void> = Promise.resolve();

  readonly basket: Basket = $derived(
    till.state?.basket ?? basketOf(this.amountMinor, till.state?.program.currency ?? "EUR"),
  );
  readonly totalMinor: number = $derived(totalOf(this.basket));
  readonly rewardCost: number = $derived(
    (this.member?.rewards ?? [])
      .filter((reward) => this.rewardIds.includes(reward.reward_id))
      .reduce((sum, reward) => sum + reward.cost_points, 0),
  );
  /** The most points that can be spent as money in this sale. */
  readonly mostPoints: number = $derived(
    this.mostQuote && !this.mostQuote.refusal ? spentAsMoney(this.mostQuote) : 0,
  );
  /** What the voucher in hand spends as money, as far as this sale has room for it. */
  readonly voucherPoints: number = $derived(
    this.voucher && !this.voucher.reward_id ? Math.min(this.voucher.points, this.mostPoints) : 0,
  );
  /** The member's own points come on top of a voucher's, which is spent whole. */
  readonly spendPoints: number = $derived(
    Math.max(
      this.spend.mode === "exact" ? this.spend.points : this.spend.mode === "most" ? this.mostPoints : 0,
      this.voucherPoints,
    ),
  );
  readonly canSell: boolean = $derived(
    this.stage === "sale" &&
      !this.sending &&
      this.totalMinor > 0 &&
      till.reachable &&
      (till.state?.sell.allowed ?? false) &&
      this.quote !== null &&
      this.quote.refusal === null,
  );

  /**
   * Asks who or what was scanned, and returns where the answer belongs (nowhere when a later scan was quicker).
   * A sale that waits for its answer is not disturbed.
   */
  async scan(scan: Scan): Promise<"home" | "return" | "nowhere"> {
    if (this.sending) {
      this.#sound("bad");
      return "nowhere";
    }
    this.#scanTurn += 1;
    const turn = this.#scanTurn;
    // The answer comes within the blink of an eye: the view changes once, not twice, unless there is nothing to see.
    if (this.stage !== "sale") this.stage = this.stage === "idle" ? "asking" : this.stage;
    let identified: Identified;
    try {
      identified = await api.identify(scan);
    } catch (error) {
      if (turn !== this.#scanTurn) return "nowhere";
      this.#refuseScan(error);
      return "home";
    }
    if (turn !== this.#scanTurn) return "nowhere";
    this.#take(identified, scan);
    return identified.kind === "receipt" ? "return" : "home";
  }

  /** A scan that was cut off. */
  unreadable(): void {
    if (this.sending) return;
    this.#scanTurn += 1;
    this.#refuseScan(new Refused("SCAN_CUT_OFF", ""));
  }

  /** Begins a sale for a member: after a scan, or straight after a sign-up. */
  begin(member: Member): void {
    const same = this.stage === "sale" && this.member?.member_ref === member.member_ref;
    this.#scanTurn += 1;
    if (this.stage === "receipt") this.amountMinor = 0;
    this.member = member;
    this.offered = member.burn_limit_points > 0;
    this.#metIn = till.state;
    this.refusal = null;
    this.receipt = null;
    this.undone = null;
    if (!same) this.#forgetChoice();
    this.stage = "sale";
  }

  /** Ends what is on screen and arms for the next scan. */
  clear(): void {
    if (this.sending) return;
    this.#next();
    this.stage = "idle";
    this.member = null;
    this.refusal = null;
    this.amountMinor = 0;
    this.receipt = null;
    this.undone = null;
    this.#forgetChoice();
  }

  setAmount(minor: number): void {
    if (!till.state?.basket) this.amountMinor = minor;
  }

  /** One tap: spends the most that is possible; once more takes that back. */
  toggleRedeem(): void {
    this.#refusalStays = false;
    if (this.spendPoints > this.voucherPoints) this.spend = { mode: "none" };
    else if (this.mostPoints > this.voucherPoints) this.spend = { mode: "most" };
  }

  stepPoints(direction: 1 | -1): void {
    const program = till.state?.program;
    if (!program) return;
    this.#refusalStays = false;
    const { unit_points: unit, minimum_points: minimum } = program;
    const points = step(this.spendPoints, direction, unit, minimum, this.mostPoints);
    this.spend = points > this.voucherPoints ? { mode: "exact", points } : { mode: "none" };
  }

  toggleReward(rewardId: string): void {
    this.#refusalStays = false;
    this.rewardIds = this.rewardIds.includes(rewardId)
      ? this.rewardIds.filter((each) => each !== rewardId)
      : [...this.rewardIds, rewardId];
  }

  removeVoucher(): void {
    this.#refusalStays = false;
    this.voucher = null;
    this.#voucherScan = "";
  }

  /** Quotes the present choice, and the most that could be spent. Called when any of it changes. */
  askQuote(): void {
    // The same basket is quoted anew whenever the till has news, too; that takes no word from the screen.
    const basket = JSON.stringify(this.basket);
    if (basket !== this.#basketQuoted) this.#refusalStays = false;
    this.#basketQuoted = basket;
    this.#quoted = this.#askQuote();
  }

  async #askQuote(): Promise<void> {
    this.#quoteTurn += 1;
    const turn = this.#quoteTurn;
    if (this.totalMinor <= 0) this.quote = this.mostQuote = null;
    // While digits stream in, each is soon overtaken by the next: only the last of them is worth a question.
    await new Promise((resolve) => setTimeout(resolve, QUOTE_PAUSE_MS));
    // While nobody answers, what was quoted stays on screen; it is asked for anew when somebody does.
    if (turn !== this.#quoteTurn || !till.reachable) return;
    try {
      const member = await this.#lookAgain(turn);
      if (!member || this.totalMinor <= 0) return;
      const most = await this.#askMost(member);
      if (turn !== this.#quoteTurn) return;
      this.mostQuote = most;
      // A smaller basket may take fewer points than were chosen before.
      if (this.spend.mode === "exact" && this.spend.points > this.mostPoints) this.spend = { mode: "most" };
      if (this.spend.mode !== "none" && this.mostPoints === 0) this.spend = { mode: "none" };
      const quote = most && this.spend.mode === "most" ? most : await api.quote(this.#request(member));
      if (turn !== this.#quoteTurn) return;
      this.quote = quote;
      if (!this.#refusalStays) this.refusal = null;
    } catch (error) {
      if (turn === this.#quoteTurn) {
        this.quote = null;
        this.#refusalStays = false;
        this.#note(error);
      }
    }
  }

  /** The member as the till's last news leave them: with the line comes and goes what may be redeemed. */
  async #lookAgain(turn: number): Promise<Member | null> {
    const before = this.stage === "sale" ? this.member : null;
    const state = till.state;
    if (!before || state === this.#metIn) return before;
    const { member } = await api.member(before.member_ref, this.#voucherScan);
    if (turn !== this.#quoteTurn) return null;
    this.#metIn = state;
    const isNew = JSON.stringify({ ...member, as_of_ms: 0 }) !== JSON.stringify({ ...before, as_of_ms: 0 });
    if (!isNew) return before;
    this.member = member;
    this.offered ||= member.burn_limit_points > 0;
    return member;
  }

  /** Sells. The id is minted and kept before the first send; without an answer the same sale is sent again. */
  async sell(): Promise<void> {
    const told = this.spendPoints;
    const turn = this.#scanTurn;
    const basket = JSON.stringify(this.basket);
    // A quick hand is ahead of the quote of what it has just keyed in; and what is news of the member is quoted anew.
    let quoted: Promise<void>;
    do await (quoted = this.#quoted);
    while (quoted !== this.#quoted);
    // What was left or changed meanwhile is not what the hand was on.
    if (turn !== this.#scanTurn || basket !== JSON.stringify(this.basket)) return;
    const member = this.member;
    const state = till.state;
    if (!this.canSell || !member || !state) return;
    if (this.spendPoints < told) {
      // Meanwhile another sale took what was shown as redeemed: the member must hear of it before paying more.
      this.#refuseHere(new Refused(this.mostQuote?.refusal?.reason ?? "ABOVE_FLOOR", ""));
      return;
    }
    const body: SaleRequest = { ...this.#request(member), sale_id: crypto.randomUUID() };
    if (state.basket && state.basket_id) body.basket_id = state.basket_id;
    if (state.basket && state.basket_reference) body.reference = state.basket_reference;
    await this.#sendSale({ path: "/sale", body });
  }

  /** Takes up what had no answer when the page ended. */
  async resume(): Promise<void> {
    const sale = journal.pending("sale");
    const undo = journal.pending("undo");
    if (sale) await this.#sendSale(sale);
    if (undo) await this.#sendUndo(undo);
    for (const slot of ["return", "enrol"] as const) {
      const pending = journal.pending(slot);
      if (pending) await journal.once(slot, pending).catch((error: unknown) => this.#refuse(error));
    }
  }

  /** Asks what the sale on screen has met, until the gateway has answered it. Called when that may be. */
  async askMet(): Promise<void> {
    const saleId = this.receipt?.sale_id ?? "";
    if (!saleId || this.#metKnown === saleId) return;
    this.#metTurn += 1;
    const turn = this.#metTurn;
    try {
      const { state, challenges_met } = await api.saleOf(saleId);
      if (turn !== this.#metTurn || this.receipt?.sale_id !== saleId) return;
      this.met = challenges_met;
      if (state !== "queued") this.#metKnown = saleId;
    } catch (error) {
      // It is no more than a word to the member, and the next change of the till's state asks again.
      if (!(error instanceof Away || error instanceof Refused)) throw error;
    }
  }

  /** Undoes the last sale. */
  async undo(): Promise<void> {
    if (!this.last || this.sending) return;
    const body = { sale_id: this.last.sale_id, undo_id: crypto.randomUUID() };
    await this.#sendUndo({ path: "/undo", body });
  }

  /**
   * A sale that the shop's own till program finished while its basket was on this screen. A sale without a basket is
   * somebody else's: it does not end what is keyed in here.
   */
  soldElsewhere(sale: SaleAnswer & { basket_id: string }): void {
    const ours = sale.basket_id !== "" && sale.member_ref === this.member?.member_ref;
    if (this.stage === "sale" && !this.sending && ours) this.#showReceipt(sale);
  }

  #take(identified: Identified, scan: Scan): void {
    if (identified.kind === "none") {
      this.#refuseScan(new Refused(identified.reason, ""));
      return;
    }
    if (identified.kind === "receipt") {
      this.scannedSale = { sale: identified.sale, receipt: scan.text };
      if (this.stage === "asking") this.stage = "idle";
      if (this.stage === "idle") this.refusal = null;
      this.#sound("ok");
      return;
    }
    this.begin(identified.member);
    if (identified.kind === "voucher") {
      this.voucher = identified.voucher;
      this.#voucherScan = scan.text;
    }
    this.#sound(verdictOn(identified.member).tone);
  }

  async #askMost(member: Member): Promise<Quote | null> {
    const most = member.burn_limit_points - this.rewardCost;
    return most > 0 ? api.quote({ ...this.#request(member), spend: { points_max: most } }) : null;
  }

  #request(member: Member): QuoteRequest {
    const request: QuoteRequest = {
      member_ref: member.member_ref,
      basket: $state.snapshot(this.basket) as Basket,
      reward_ids: [...this.rewardIds],
      language: prefs.locale,
    };
    // The sale names the points that were shown: what the member was told is what is taken, or nothing is.
    if (this.spendPoints > 0) request.spend = { points: this.spendPoints };
    if (this.#voucherScan) request.voucher = this.#voucherScan;
    return request;
  }

  async #sendSale(pending: Pending): Promise<void> {
    this.sending = true;
    try {
      this.#showReceipt(await journal.once<SaleAnswer>("sale", pending, () => (this.waiting = true)));
      this.#sound("done");
    } catch (error) {
      this.#refuseHere(error);
    } finally {
      this.sending = this.waiting = false;
    }
  }

  async #sendUndo(pending: Pending): Promise<void> {
    this.sending = true;
    try {
      const undone = await journal.once<UndoAnswer>("undo", pending, () => (this.waiting = true));
      if (this.last?.sale_id === undone.sale_id) {
        this.#showReceipt(this.last);
        this.undone = undone;
        this.last = null;
      }
      this.#sound("warn");
    } catch (error) {
      this.#note(error);
      this.#sound("bad");
    } finally {
      this.sending = this.waiting = false;
    }
  }

  #showReceipt(sale: SaleAnswer): void {
    this.#next();
    if (this.receipt?.sale_id !== sale.sale_id) {
      this.met = [];
      this.#metKnown = "";
    }
    this.receipt = this.last = sale;
    this.undone = null;
    this.refusal = null;
    this.member = null;
    this.amountMinor = 0;
    this.#forgetChoice();
    this.stage = "receipt";
  }

  #forgetChoice(): void {
    this.spend = { mode: "none" };
    this.rewardIds = [];
    this.quote = this.mostQuote = null;
    this.removeVoucher();
  }

  /** A scan was refused. In the middle of a sale that is no reason to lose the member and what was keyed in. */
  #refuseScan(error: unknown): void {
    if (this.stage !== "sale") {
      this.#refuse(error);
      return;
    }
    this.#refuseHere(error);
  }

  /** Says in the middle of a sale that something was refused, until something else is done. */
  #refuseHere(error: unknown): void {
    this.#note(error);
    this.#refusalStays = true;
    this.#sound("bad");
  }

  /** The whole screen says that something was refused. */
  #refuse(error: unknown): void {
    this.#next();
    this.#note(error);
    this.member = null;
    this.#forgetChoice();
    this.stage = "refused";
    this.#sound("bad");
  }

  #note(error: unknown): void {
    if (error instanceof Refused) this.refusal = { reason: error.reason, message: error.message };
    else if (error instanceof Away) this.refusal = { reason: "AWAY", message: error.message };
    else throw error;
  }

  /** Whatever is still under way belongs to what was on screen before. */
  #next(): number {
    this.#quoteTurn += 1;
    this.#scanTurn += 1;
    return this.#scanTurn;
  }

  #sound(tune: Parameters<typeof play>[0]): void {
    if (prefs.sound) play(tune);
  }
}

export const session = new Session();
