/** How the card's figures and names read. */
import { decimalsOf } from "@tallystick/i18n/currency";

import { isKey, prefs, t } from "./prefs.svelte.ts";
import { session } from "./session.svelte.ts";
import { num } from "./types.ts";
import type { Balance, Benefit, Conversion, Entry, Explanation, Int64 } from "./types.ts";

const OWN = ["ACCOUNT_KIND_MEMBER_ACTIVE", "ACCOUNT_KIND_MEMBER_PENDING"];
const PPM = 1_000_000;

/** An id of the rule set as a name: "free-coffee" is "Free coffee". */
export function nameOf(id: string): string {
  const words = id.replace(/[-_.]+/g, " ").trim();
  return words.charAt(0).toLocaleUpperCase() + words.slice(1);
}

/** A member number in groups that can be read out. */
export function grouped(number: string): string {
  return number.replace(/(.{4})(?=.)/g, "$1 ");
}

export function money(minor: Int64 | number | undefined): string {
  const currency = session.card?.currencyCode || "EUR";
  const decimals = decimalsOf(currency);
  const value = num(minor);
  // "5 € off" reads better than "5.00 € off".
  const whole = value % 10 ** decimals === 0;
  if (!whole) return prefs.words.money(value, { currency, decimals });
  return prefs.words.money(value / 10 ** decimals, { currency, decimals: 0 });
}

/** What so many points are worth as a discount, in minor units; 0 where points are not money. */
export function worthOf(points: number, { points: per, amountMinor, unitPoints }: Conversion): number {
  if (!num(per)) return 0;
  const unit = Math.max(1, num(unitPoints));
  return Math.floor((Math.floor(points / unit) * unit * num(amountMinor)) / num(per));
}

export function active(balance: Balance | undefined): number {
  return num(balance?.active);
}

/** What a reward or a coupon takes off, and for what. */
export function benefitText(benefit: Benefit): string {
  const what = [...(benefit.skus ?? []), ...(benefit.categories ?? []), ...(benefit.brands ?? [])];
  const minimum = num(benefit.minimumMinor);
  const parts = [
    takenOff(benefit),
    ...(what.length ? [t("rewards.only", { what: what.map(nameOf).join(", ") })] : []),
    ...(minimum ? [t("rewards.minimum", { amount: money(minimum) })] : []),
  ];
  return parts.join(", ");
}

/** Whether it takes nothing off a basket, but is bought for points alone. */
export function isDirect({ kind }: Benefit): boolean {
  return kind === "experience" || kind === "product";
}

function takenOff(benefit: Benefit): string {
  const { kind, amountMinor, percentPpm } = benefit;
  if (kind === "money_off") return t("rewards.money_off", { amount: money(amountMinor) });
  if (isDirect(benefit)) return "";
  if (kind !== "percent_off") return t("rewards.free_item");
  const percent = new Intl.NumberFormat(prefs.locale, { style: "percent", maximumFractionDigits: 2 });
  return t("rewards.percent_off", { percent: percent.format(num(percentPpm) / PPM) });
}

/** What counts towards a tier: money, points or purchases. */
export function creditsText(basis: string | undefined, credits: Int64 | undefined): string {
  const n = num(credits);
  if (basis === "spend") return money(n);
  return basis === "sales" ? t("rewards.sales", { n }) : t("rewards.points", { n });
}

/** An entry's kind in words. */
export function kindText({ kind }: Entry): string {
  const key = `kind.${kind.replace("ENTRY_KIND_", "")}`;
  return t(isKey(key) ? key : "kind.OTHER");
}

/** Why, as the gateway says it in the member's language. Of what was kept before it did so, the kind of entry is said. */
export function whyText(entry: Entry, { text }: Explanation): string {
  return text || kindText(entry);
}

/** What an entry changed of the points that a member has or will have. */
export function changeOf({ postings = [] }: Entry): number {
  return postings.reduce((sum, { debit, credit, points }) => {
    const more = Number(OWN.includes(credit)) - Number(OWN.includes(debit));
    return sum + more * num(points);
  }, 0);
}
