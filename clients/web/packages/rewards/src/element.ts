import type { Card } from "./card.ts";
import { num, pointsRange, valueMinor } from "./choice.ts";
import css from "./style.css?inline";
import { rewardName, wordsIn } from "./words.ts";
import type { Words } from "./words.ts";

/** What the member wants to use for this basket. The shop asks the gateway what it comes to. */
export interface RewardsChoice {
  readonly points: number;
  readonly rewardIds: readonly string[];
}

/** What the shop's token URL answers. */
interface Token {
  readonly token: string;
  readonly member_id: string;
}

/** A reward that can be chosen: its tick, what it costs, and the smallest basket for it. */
interface Item {
  readonly box: HTMLInputElement;
  readonly cost: number;
  readonly least: number;
}

const RETRY_MS = 30_000;
const TIMEOUT_MS = 10_000;
const NO_CARD: Card = { currencyCode: "EUR" };
const TICK = "<input type=checkbox>";
const LAYOUT =
  "<section part=card><p part=message role=status><div><b part=balance></b><i part=tier></i>" +
  "<p part=next-reward><p part=next-tier><div part=rewards></div><div part=use role=group aria-labelledby=l>" +
  `<label>${TICK}<span part=label id=l></span></label><button value=-1>−</button>` +
  "<input type=range part=range aria-labelledby=l><button value=1>+</button><output part=chosen></output>" +
  "</div></div></section><slot>";

/**
 * `<tallystick-rewards gateway token-url basket-minor points reward-ids names lang>`: the points, the ladder and the
 * rewards of whoever is signed in at the shop, and a choice of what to use for the basket. What is inside the element
 * shows while nobody is.
 *
 * Fires `tallystick-change` with a `RewardsChoice` when the choice changes, also when less is possible than was chosen.
 * Its attribute `state` is "ready", "away" or "signed-out", and absent until that is known.
 */
export class TallystickRewards extends HTMLElement {
  static readonly observedAttributes = ["points", "reward-ids", "basket-minor"];

  /** Asks for the card anew, such as after an order or with other attributes. */
  declare readonly refresh: () => Promise<void>;

  /** @internal */
  declare readonly changed: (name: string) => void;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = LAYOUT;
    const attribute = (name: string) => this.getAttribute(name) ?? "";
    const part = <T extends HTMLElement>(name: string) => root.querySelector<T>(`[part=${name}]`)!;
    const say = (name: string, text: string) => {
      part(name).textContent = text;
    };
    const section = part("card");
    const range = part<HTMLInputElement>("range");
    const use = root.querySelector<HTMLInputElement>("label input")!;
    let card = NO_CARD;
    let isUsable = false;
    let words: Words;
    let items: readonly Item[] = [];
    let points = 0;
    let ids: readonly string[] = [];
    let told = "0 ";
    let loads = 0;

    const ticked = () => items.flatMap(({ box }) => (box.checked ? box.value : []));

    /** Holds what is wished to what is possible, and tells the page when that is something else. */
    const update = (isDone = true) => {
      const basketMinor = num(attribute("basket-minor"));
      let left = num(card.balance?.active);
      const isOpen = ({ cost, least }: Item) => cost <= left && basketMinor >= (least || 1);
      for (const item of items) {
        item.box.checked = ids.includes(item.box.value) && isOpen(item);
        if (item.box.checked) left -= item.cost;
      }
      for (const item of items) item.box.disabled = !item.box.checked && !isOpen(item);
      ids = ticked();
      const [min, max] = pointsRange(card, basketMinor, left);
      const isPossible = isUsable && min <= max;
      part("use").hidden = !isPossible;
      Object.assign(range, { min, max, step: card.conversion?.unitPoints, value: points || max });
      use.checked = isPossible && points > 0;
      points = use.checked ? +range.value : 0;
      const text = `${words.points(+range.value)} = ${words.off(words.spend(valueMinor(card, +range.value)))}`;
      range.ariaValueText = text;
      say("chosen", text);
      if (!isDone || told == (told = `${points} ${ids}`)) return;
      const detail: RewardsChoice = { points, rewardIds: ids };
      this.dispatchEvent(new CustomEvent("tallystick-change", { bubbles: true, detail }));
    };

    const show = (names: Record<string, string>) => {
      const { ladder, rewards: all = [], balance } = card;
      const name = (id = "") => names[id] ?? id;
      const next = all.find(({ rewardId }) => rewardId == ladder?.nextRewardId);
      const tier = name(ladder?.nextTierId);
      say("balance", words.points(num(balance?.active)));
      say("tier", name(ladder?.tierId));
      say("message", isUsable ? "" : words.away);
      say(
        "next-reward",
        next ? words.to(words.points(num(ladder!.nextRewardPoints)), rewardName(next, words, names)) : "",
      );
      say("next-tier", tier && words.to(words[ladder!.basis ?? "spend"](num(ladder!.nextCredits)), tier));
      say("label", words.use);
      const labels: HTMLElement[] = [];
      items = all
        .filter(({ inTier }) => inTier && isUsable)
        .map((reward) => {
          const label = document.createElement("label");
          const cost = num(reward.costPoints);
          const least = num(reward.minimumMinor);
          label.innerHTML = TICK;
          label.append(
            `${rewardName(reward, words, names)} · ${words.points(cost)}` +
              (least ? ` · ≥ ${words.spend(least)}` : ""),
          );
          labels.push(label);
          const box = label.firstChild as HTMLInputElement;
          box.value = reward.rewardId;
          return { box, cost, least };
        });
      part("rewards").replaceChildren(...labels);
      update();
    };

    const load = async (): Promise<Card | undefined> => {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      // Each time: the shop alone knows who is signed in by now.
      const sold = await fetch(attribute("token-url"), { cache: "no-store", signal });
      if (sold.status == 401) return undefined;
      const token: Token = await sold.json();
      const answer = await fetch(attribute("gateway") + "/tallystick.v1.AppService/GetCard", {
        method: "POST",
        // The gateway wants to know how long it is waited for.
        headers: {
          "content-type": "application/json",
          "connect-timeout-ms": "9000",
          authorization: "Bearer " + token.token,
        },
        body: JSON.stringify({ memberId: token.member_id }),
        signal,
      });
      if (!answer.ok) throw answer.status;
      return (await answer.json()).card;
    };

    this.refresh = async () => {
      const mine = ++loads;
      let found: Card | undefined;
      let state = "away";
      let names = {};
      try {
        names = JSON.parse(attribute("names") || "{}");
        found = await load();
        state = found ? "ready" : "signed-out";
      } catch (error) {
        console.warn(error);
        setTimeout(() => mine == loads && this.isConnected && this.refresh(), RETRY_MS);
      }
      if (mine != loads) return;
      card = found ?? NO_CARD;
      isUsable = card.status == "MEMBER_STATUS_OPEN";
      words = wordsIn(this.closest<HTMLElement>("[lang]")?.lang || navigator.language, card.currencyCode);
      this.setAttribute("state", state);
      show(names);
    };

    this.changed = (name) => {
      if (name != "basket-minor") {
        points = num(attribute("points"));
        ids = attribute("reward-ids").split(" ");
        told = `${points} ${ids}`;
      }
      if (card != NO_CARD) update();
    };

    section.oninput = (event) => {
      points = event.target == range || use.checked ? +range.value : 0;
      ids = ticked();
      update(false);
    };
    section.onchange = () => update();
    section.onclick = (event) => {
      const by = +(event.target as HTMLButtonElement).value;
      if (!by) return;
      range.stepUp(by);
      points = +range.value;
      update();
    };
  }

  /** @internal */
  connectedCallback(): void {
    void this.refresh();
  }

  /** @internal */
  attributeChangedCallback(name: string): void {
    this.changed(name);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "tallystick-rewards": TallystickRewards;
  }
  interface HTMLElementEventMap {
    "tallystick-change": CustomEvent<RewardsChoice>;
  }
}

if (!customElements.get("tallystick-rewards")) customElements.define("tallystick-rewards", TallystickRewards);
