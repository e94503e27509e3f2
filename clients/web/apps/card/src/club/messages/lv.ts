import type { ClubCatalog } from "../words.ts";

export const lv: ClubCatalog<"lv"> = {
  nothing: "Šobrīd te nekā nav. Ienāc drīz vēlreiz.",
  points: { zero: "{n} punktu", one: "{n} punkts", other: "{n} punkti" },
  until: "Līdz {day} ieskaitot",

  offers: "Tikai tev",
  code: "Kods: {code}",

  challenges: "Izaicinājumi",
  "progress.sales": {
    zero: "{have} no {n} pirkumiem",
    one: "{have} no {n} pirkuma",
    other: "{have} no {n} pirkumiem",
  },
  "progress.pieces": {
    zero: "{have} no {n} precēm",
    one: "{have} no {n} preces",
    other: "{have} no {n} precēm",
  },
  "progress.points": {
    zero: "{have} no {n} punktiem",
    one: "{have} no {n} punkta",
    other: "{have} no {n} punktiem",
  },
  "progress.days": {
    zero: "{have} no {n} dienām",
    one: "{have} no {n} dienas",
    other: "{have} no {n} dienām",
  },
  "progress.spend": "{have} no {target}",
  award: "Par to: {what}",
  award_badge: "nozīmīte {badge}",
  won: { zero: "Izpildīts {n} reižu", one: "Izpildīts", other: "Izpildīts {n} reizes" },
  badges: "Tavas nozīmītes",

  memberships: "Dalība",
  "membership.until": "Tava līdz {day}",
  "membership.renew": "Pagarini līdz {day}, lai to saglabātu",
  "membership.none": "Vēl nav tava. To pērk kā jebkuru preci, veikalā vai interneta veikalā.",

  goals: "Visi kopā",
  "goal.members": {
    zero: "Piedalījušies {n} biedru",
    one: "Piedalījies {n} biedrs",
    other: "Piedalījušies {n} biedri",
  },
  "goal.you": "Tu arī",
  "goal.award": {
    zero: "{n} punktu ikvienam, kas piedalījās",
    one: "{n} punkts ikvienam, kas piedalījās",
    other: "{n} punkti ikvienam, kas piedalījās",
  },
  "goal.reached": "Sasniegts",
  "goal.missed": "Šoreiz nav sasniegts",

  projects: "Ko mēs atbalstām",
  "project.given": "Līdz šim {amount}",
  "project.members": "No tā {amount} biedru punktos",
  "project.points": "Cik punktu dot",
  "project.give": { zero: "Dot {n} punktu", one: "Dot {n} punktu", other: "Dot {n} punktus" },
  "project.thanks": {
    zero: "Paldies. {n} punktu ir ceļā.",
    one: "Paldies. {n} punkts ir ceļā.",
    other: "Paldies. {n} punkti ir ceļā.",
  },
  "project.refused": "Šos punktus tagad nevar dot.",
  "project.locked": "Tavi punkti ir bloķēti. Vispirms atbloķē tos kartē.",

  actions: "Vēl ceļi pie punktiem",
  "action.birthday": "Dzimšanas dienā, pats no sevis",
  "action.anniversary": "Katru gadu tavā pievienošanās dienā",
  "action.left": { zero: "Vēl {n} reižu", one: "Vēl {n} reize", other: "Vēl {n} reizes" },
  "action.done": "Pagaidām izdarīts",

  access: "Pirms citiem",
  "access.open": "Tev jau atvērts",
  "access.mine": "Tev no {time}",
  "access.all": "Visiem no {time}",
  "access.closed": "Citam līmenim",

  referral: "Draugi",
  "referral.joined": {
    zero: "Pievienojušies {n} draugu",
    one: "Pievienojies {n} draugs",
    other: "Pievienojušies {n} draugi",
  },
  "referral.waiting": { zero: "{n} vēl gaida", one: "{n} vēl gaida", other: "{n} vēl gaida" },
  "referral.earned": { zero: "{n} punktu tev", one: "{n} punkts tev", other: "{n} punkti tev" },
  "referral.terms": "Tu saņem {mine}, draugs {theirs}, kad pirmais pirkums par {amount} ir galīgs.",
  "referral.invite": "Uzaicināt draugu",
};
