/** Amounts as a till's number keys make them: digits move in from the right, in minor units. */
import type { Basket, Explanation, Quote } from "./types.ts";

/** Largest amount a person can key in: eight digits. */
const DIGITS_MAX = 8;

/** The minor units that a text of digits means; everything else in it (points, commas, signs) is ignored. */
export function minorOf(text: string): number {
  return Number(text.replace(/\D/g, "").replace(/^0+/, "").slice(0, DIGITS_MAX) || "0");
}

/** The amount after one more key: a digit, `00`, or `erase`. */
export function press(minor: number, key: string): number {
  if (key === "erase") return Math.floor(minor / 10);
  const next = `${minor}${key}`.replace(/^0+/, "");
  return next.length > DIGITS_MAX ? minor : minorOf(next);
}

/** The article of an amount that was keyed in. */
export const KEYED_IN = "AMOUNT";

/** A keyed-in amount as a basket of one line; prices at a till include the tax. */
export function basketOf(minor: number, currency: string): Basket {
  const line = { sku: KEYED_IN, quantity_milli: 1000, amount_minor: minor };
  return { currency, lines: [line], prices_include_tax: true, tax_groups: [] };
}

export function totalOf(basket: Basket): number {
  return basket.lines.reduce((sum, line) => sum + line.amount_minor, 0);
}

/** The points that a quote spends as money, apart from those that rewards cost. */
export function spentAsMoney(quote: Quote): number {
  const asMoney = (each: Explanation): boolean => each.code === "points_as_money";
  return quote.explanations.filter(asMoney).reduce((spent, each) => spent - each.points, 0);
}

/**
 * The points after a step up or down: whole units, never above `most` and never between none and the minimum.
 */
export function step(points: number, direction: 1 | -1, unit: number, minimum: number, most: number): number {
  const size = Math.max(1, unit);
  const least = Math.max(size, Math.ceil(minimum / size) * size);
  const next = points + direction * size;
  if (direction > 0) return Math.min(Math.max(next, least), Math.floor(most / size) * size);
  return next < least ? 0 : next;
}
