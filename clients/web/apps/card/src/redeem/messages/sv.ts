import type { RedeemCatalog } from "../words.ts";

export const sv: RedeemCatalog<"sv"> = {
  sure: { one: "{n} poäng dras direkt för den.", other: "{n} poäng dras direkt för den." },
  left: { one: "{n} kvar", other: "{n} kvar" },
  more: { one: "{n} till för dig", other: "{n} till för dig" },
  get: "Hämta den",
  gone: "Den erbjuds dig inte just nu.",
  had: "Du har fått så många som du kan för tillfället.",
  sold_out: "Det finns ingen kvar.",
  missing: "Dina poäng räcker inte till den.",
  locked: "Dina poäng är låsta. Lås först upp dem på kortet.",
  refused: "Den går inte att få just nu.",

  done: "Den är din. Visa kortet och säg koden.",
  list: "Vad du har fått",
  none: "Inget än.",
  as_of: "Utan anslutning visas det som sågs senast.",
  points: { one: "{n} poäng", other: "{n} poäng" },
  code: "Kod",
  open: "Inte utlämnad än",
  used: "Utlämnad {time}",
  cancelled: "Avbruten, poängen är tillbaka",
};
