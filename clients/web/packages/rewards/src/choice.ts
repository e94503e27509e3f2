/** What a member can choose for a basket. An upper bound for the eye: the shop's quote decides. */
import type { Card } from "./card.ts";

/** A number of Connect JSON: text when it has 64 bits, absent when it is 0. */
export const num = (value: string | number | null | undefined): number => +(value ?? 0);

/** What points in whole units take off: whole minor units, because a rule set's units are. */
export const valueMinor = ({ conversion }: Card, points: number): number =>
  (points * num(conversion?.amountMinor)) / num(conversion?.points);

/** The fewest and the most of `points` that can pay for a basket, in whole units; none where the most is less. */
export function pointsRange({ conversion }: Card, basketMinor: number, points: number): [number, number] {
  const unit = num(conversion?.unitPoints);
  const shareMinor = (basketMinor * num(conversion?.shareMaxPpm)) / 1e6;
  const share = (shareMinor * num(conversion?.points)) / num(conversion?.amountMinor);
  return [
    Math.ceil(num(conversion?.minimumPoints) / unit) * unit,
    Math.floor(Math.min(share, points) / unit) * unit,
  ];
}
