import type { ClubCatalog } from "../words.ts";

export const nb: ClubCatalog<"nb"> = {
  nothing: "Her er det ingenting akkurat nå. Kom gjerne tilbake snart.",
  points: { one: "{n} poeng", other: "{n} poeng" },
  until: "Til og med {day}",

  offers: "Bare for deg",
  code: "Kode: {code}",

  challenges: "Utfordringer",
  "progress.sales": { one: "{have} av {n} kjøp", other: "{have} av {n} kjøp" },
  "progress.pieces": { one: "{have} av {n} vare", other: "{have} av {n} varer" },
  "progress.points": { one: "{have} av {n} poeng", other: "{have} av {n} poeng" },
  "progress.days": { one: "{have} av {n} dag", other: "{have} av {n} dager" },
  "progress.spend": "{have} av {target}",
  award: "Du får: {what}",
  award_badge: "merket {badge}",
  won: { one: "Klart", other: "Klart {n} ganger" },
  badges: "Merkene dine",

  memberships: "Medlemskap",
  "membership.until": "Ditt til og med {day}",
  "membership.renew": "Forny innen {day} for å beholde det",
  "membership.none": "Ikke ditt ennå. Du kjøper det som en vanlig vare, i butikken eller i nettbutikken.",

  goals: "Alle sammen",
  "goal.members": { one: "{n} medlem har vært med", other: "{n} medlemmer har vært med" },
  "goal.you": "Du også",
  "goal.award": { one: "{n} poeng til alle som var med", other: "{n} poeng til alle som var med" },
  "goal.reached": "Nådd",
  "goal.missed": "Ikke nådd denne gangen",

  projects: "Det vi støtter",
  "project.given": "{amount} hittil",
  "project.members": "{amount} av det i medlemmers poeng",
  "project.points": "Poeng å gi",
  "project.give": { one: "Gi {n} poeng", other: "Gi {n} poeng" },
  "project.thanks": { one: "Takk. {n} poeng er på vei.", other: "Takk. {n} poeng er på vei." },
  "project.refused": "Disse poengene kan ikke gis nå.",
  "project.locked": "Poengene dine er låst. Lås dem opp på kortet først.",

  actions: "Flere måter å få poeng på",
  "action.birthday": "På bursdagen din, helt av seg selv",
  "action.anniversary": "På dagen du ble med, hvert år",
  "action.left": { one: "{n} gang igjen", other: "{n} ganger igjen" },
  "action.done": "Ferdig for denne gang",

  access: "Før alle andre",
  "access.open": "Åpent for deg nå",
  "access.mine": "Åpner for deg {time}",
  "access.all": "For alle {time}",
  "access.closed": "For et annet nivå",

  referral: "Venner",
  "referral.joined": { one: "{n} venn har blitt med", other: "{n} venner har blitt med" },
  "referral.waiting": { one: "{n} venter ennå", other: "{n} venter ennå" },
  "referral.earned": { one: "{n} poeng til deg", other: "{n} poeng til deg" },
  "referral.terms": "Du får {mine} og vennen din {theirs} når et første kjøp på {amount} er endelig.",
  "referral.invite": "Inviter en venn",
};
