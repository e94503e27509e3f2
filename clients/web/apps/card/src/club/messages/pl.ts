import type { ClubCatalog } from "../words.ts";

export const pl: ClubCatalog<"pl"> = {
  nothing: "Na razie nic tu nie ma. Zajrzyj wkrótce.",
  points: { one: "{n} punkt", few: "{n} punkty", many: "{n} punktów", other: "{n} punktu" },
  until: "Do {day} włącznie",

  offers: "Tylko dla Ciebie",
  code: "Kod: {code}",

  challenges: "Wyzwania",
  "progress.sales": {
    one: "{have} z {n} zakupu",
    few: "{have} z {n} zakupów",
    many: "{have} z {n} zakupów",
    other: "{have} z {n} zakupu",
  },
  "progress.pieces": {
    one: "{have} z {n} sztuki",
    few: "{have} z {n} sztuk",
    many: "{have} z {n} sztuk",
    other: "{have} z {n} sztuki",
  },
  "progress.points": {
    one: "{have} z {n} punktu",
    few: "{have} z {n} punktów",
    many: "{have} z {n} punktów",
    other: "{have} z {n} punktu",
  },
  "progress.days": {
    one: "{have} z {n} dnia",
    few: "{have} z {n} dni",
    many: "{have} z {n} dni",
    other: "{have} z {n} dnia",
  },
  "progress.spend": "{have} z {target}",
  award: "Do zdobycia: {what}",
  award_badge: "odznaka {badge}",
  won: {
    one: "Zaliczone",
    few: "Zaliczone {n} razy",
    many: "Zaliczone {n} razy",
    other: "Zaliczone {n} razy",
  },
  badges: "Twoje odznaki",

  memberships: "Członkostwo",
  "membership.until": "Twoje do {day}",
  "membership.renew": "Odnów do {day}, aby je zachować",
  "membership.none": "Jeszcze nie Twoje. Kupisz je jak każdy artykuł, w sklepie lub w sklepie internetowym.",

  goals: "Wszyscy razem",
  "goal.members": {
    one: "{n} członek wziął udział",
    few: "{n} członków wzięło udział",
    many: "{n} członków wzięło udział",
    other: "{n} członka wzięło udział",
  },
  "goal.you": "Ty też",
  "goal.award": {
    one: "{n} punkt dla każdego, kto wziął udział",
    few: "{n} punkty dla każdego, kto wziął udział",
    many: "{n} punktów dla każdego, kto wziął udział",
    other: "{n} punktu dla każdego, kto wziął udział",
  },
  "goal.reached": "Osiągnięty",
  "goal.missed": "Tym razem nieosiągnięty",

  projects: "Co wspieramy",
  "project.given": "Dotąd {amount}",
  "project.members": "W tym {amount} w punktach członków",
  "project.points": "Ile punktów dajesz",
  "project.give": {
    one: "Daj {n} punkt",
    few: "Daj {n} punkty",
    many: "Daj {n} punktów",
    other: "Daj {n} punktu",
  },
  "project.thanks": {
    one: "Dziękujemy. {n} punkt jest w drodze.",
    few: "Dziękujemy. {n} punkty są w drodze.",
    many: "Dziękujemy. {n} punktów jest w drodze.",
    other: "Dziękujemy. {n} punktu jest w drodze.",
  },
  "project.refused": "Tych punktów nie można teraz dać.",
  "project.locked": "Twoje punkty są zablokowane. Najpierw odblokuj je na karcie.",

  actions: "Więcej okazji do punktów",
  "action.birthday": "W dniu urodzin, samo z siebie",
  "action.anniversary": "Co roku w dniu dołączenia",
  "action.left": {
    one: "Jeszcze {n} raz",
    few: "Jeszcze {n} razy",
    many: "Jeszcze {n} razy",
    other: "Jeszcze {n} razu",
  },
  "action.done": "Na razie zrobione",

  access: "Przed innymi",
  "access.open": "Dla Ciebie już otwarte",
  "access.mine": "Dla Ciebie od {time}",
  "access.all": "Dla wszystkich od {time}",
  "access.closed": "Dla innego poziomu",

  referral: "Znajomi",
  "referral.joined": {
    one: "Dołączył {n} znajomy",
    few: "Dołączyło {n} znajomych",
    many: "Dołączyło {n} znajomych",
    other: "Dołączyło {n} znajomego",
  },
  "referral.waiting": {
    one: "{n} jeszcze czeka",
    few: "{n} jeszcze czeka",
    many: "{n} jeszcze czeka",
    other: "{n} jeszcze czeka",
  },
  "referral.earned": {
    one: "{n} punkt dla Ciebie",
    few: "{n} punkty dla Ciebie",
    many: "{n} punktów dla Ciebie",
    other: "{n} punktu dla Ciebie",
  },
  "referral.terms": "Ty dostajesz {mine}, znajomy {theirs}, gdy pierwszy zakup za {amount} jest ostateczny.",
  "referral.invite": "Zaproś znajomego",
};
