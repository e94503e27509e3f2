import type { RedeemCatalog } from "../words.ts";

export const nb: RedeemCatalog<"nb"> = {
  sure: { one: "{n} poeng trekkes med en gang.", other: "{n} poeng trekkes med en gang." },
  left: { one: "{n} igjen", other: "{n} igjen" },
  more: { one: "{n} til for deg", other: "{n} til for deg" },
  get: "Hent den",
  gone: "Den tilbys deg ikke akkurat nå.",
  had: "Du har fått så mange du kan foreløpig.",
  sold_out: "Det er ingen igjen.",
  missing: "Poengene dine rekker ikke til den.",
  locked: "Poengene dine er låst. Lås dem først opp på kortet.",
  refused: "Den er ikke å få akkurat nå.",

  done: "Den er din. Vis kortet og si koden.",
  list: "Det du har fått",
  none: "Ingenting ennå.",
  as_of: "Uten forbindelse vises det som sist ble sett.",
  points: { one: "{n} poeng", other: "{n} poeng" },
  code: "Kode",
  open: "Ikke utlevert ennå",
  used: "Utlevert {time}",
  cancelled: "Avbrutt, poengene er tilbake",
};
