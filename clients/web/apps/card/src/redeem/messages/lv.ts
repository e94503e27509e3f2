import type { RedeemCatalog } from "../words.ts";

export const lv: RedeemCatalog<"lv"> = {
  sure: {
    zero: "Par to uzreiz tiks noņemti {n} punktu.",
    one: "Par to uzreiz tiks noņemts {n} punkts.",
    other: "Par to uzreiz tiks noņemti {n} punkti.",
  },
  left: { zero: "Palikuši {n}", one: "Palicis {n}", other: "Palikuši {n}" },
  more: { zero: "Vēl {n} tev", one: "Vēl {n} tev", other: "Vēl {n} tev" },
  get: "Saņemt",
  gone: "Pašlaik tev tas netiek piedāvāts.",
  had: "Pagaidām tu esi saņēmis tik, cik var.",
  sold_out: "Nekas vairs nav palicis.",
  missing: "Tavu punktu tam nepietiek.",
  locked: "Tavi punkti ir bloķēti. Vispirms atbloķē tos kartē.",
  refused: "To pašlaik nevar saņemt.",

  done: "Tas ir tavs. Parādi karti un nosauc kodu.",
  list: "Ko esi saņēmis",
  none: "Vēl nekā.",
  as_of: "Bez savienojuma redzams pēdējais zināmais.",
  points: { zero: "{n} punktu", one: "{n} punkts", other: "{n} punkti" },
  code: "Kods",
  open: "Vēl nav izsniegts",
  used: "Izsniegts {time}",
  cancelled: "Atcelts, punkti ir atpakaļ",
};
