import type { ClubCatalog } from "../words.ts";

export const sv: ClubCatalog<"sv"> = {
  nothing: "Här finns inget just nu. Titta in igen snart.",
  points: { one: "{n} poäng", other: "{n} poäng" },
  until: "Till och med {day}",

  offers: "Bara för dig",
  code: "Kod: {code}",

  challenges: "Utmaningar",
  "progress.sales": { one: "{have} av {n} köp", other: "{have} av {n} köp" },
  "progress.pieces": { one: "{have} av {n} vara", other: "{have} av {n} varor" },
  "progress.points": { one: "{have} av {n} poäng", other: "{have} av {n} poäng" },
  "progress.days": { one: "{have} av {n} dag", other: "{have} av {n} dagar" },
  "progress.spend": "{have} av {target}",
  award: "Du får: {what}",
  award_badge: "märket {badge}",
  won: { one: "Klarad", other: "Klarad {n} gånger" },
  badges: "Dina märken",

  memberships: "Medlemskap",
  "membership.until": "Ditt till och med {day}",
  "membership.renew": "Förnya senast {day} för att behålla det",
  "membership.none": "Inte ditt än. Du köper det som vilken vara som helst, i butiken eller i webbutiken.",

  goals: "Alla tillsammans",
  "goal.members": { one: "{n} medlem har varit med", other: "{n} medlemmar har varit med" },
  "goal.you": "Du också",
  "goal.award": { one: "{n} poäng till alla som var med", other: "{n} poäng till alla som var med" },
  "goal.reached": "Nått",
  "goal.missed": "Nåddes inte den här gången",

  projects: "Det vi stödjer",
  "project.given": "{amount} hittills",
  "project.members": "{amount} av det i medlemmars poäng",
  "project.points": "Poäng att ge",
  "project.give": { one: "Ge {n} poäng", other: "Ge {n} poäng" },
  "project.thanks": { one: "Tack. {n} poäng är på väg.", other: "Tack. {n} poäng är på väg." },
  "project.refused": "De här poängen kan inte ges nu.",
  "project.locked": "Dina poäng är låsta. Lås upp dem på kortet först.",

  actions: "Fler sätt att få poäng",
  "action.birthday": "På din födelsedag, av sig självt",
  "action.anniversary": "På dagen då du gick med, varje år",
  "action.left": { one: "{n} gång kvar", other: "{n} gånger kvar" },
  "action.done": "Klart för den här gången",

  access: "Före alla andra",
  "access.open": "Öppet för dig nu",
  "access.mine": "Öppnar för dig {time}",
  "access.all": "För alla {time}",
  "access.closed": "För en annan nivå",

  referral: "Vänner",
  "referral.joined": { one: "{n} vän har gått med", other: "{n} vänner har gått med" },
  "referral.waiting": { one: "{n} väntar än", other: "{n} väntar än" },
  "referral.earned": { one: "{n} poäng till dig", other: "{n} poäng till dig" },
  "referral.terms": "Du får {mine} och din vän {theirs} när ett första köp på {amount} är slutgiltigt.",
  "referral.invite": "Bjud in en vän",
};
