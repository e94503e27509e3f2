import type { RedeemCatalog } from "../words.ts";

export const pl: RedeemCatalog<"pl"> = {
  sure: {
    one: "Od razu pobierzemy za to {n} punkt.",
    few: "Od razu pobierzemy za to {n} punkty.",
    many: "Od razu pobierzemy za to {n} punktów.",
    other: "Od razu pobierzemy za to {n} punktu.",
  },
  left: {
    one: "Został {n}",
    few: "Zostały {n}",
    many: "Zostało {n}",
    other: "Zostało {n}",
  },
  more: {
    one: "Jeszcze {n} dla Ciebie",
    few: "Jeszcze {n} dla Ciebie",
    many: "Jeszcze {n} dla Ciebie",
    other: "Jeszcze {n} dla Ciebie",
  },
  get: "Odbierz",
  gone: "W tej chwili nie jest to dla Ciebie dostępne.",
  had: "Na razie masz już tyle, ile można.",
  sold_out: "Nic już nie zostało.",
  missing: "Masz na to za mało punktów.",
  locked: "Twoje punkty są zablokowane. Najpierw odblokuj je na karcie.",
  refused: "Nie można tego teraz odebrać.",

  done: "Należy do Ciebie. Pokaż kartę i podaj kod.",
  list: "Twoje odebrane nagrody",
  none: "Jeszcze nic.",
  as_of: "Bez połączenia widać to, co było ostatnio.",
  points: { one: "{n} punkt", few: "{n} punkty", many: "{n} punktów", other: "{n} punktu" },
  code: "Kod",
  open: "Jeszcze niewydane",
  used: "Wydane: {time}",
  cancelled: "Anulowane, punkty wróciły",
};
