/** The words of the club's page. They come with the page, not with the card. */
export const en = {
  nothing: "There is nothing here at the moment. Come back soon.",
  points: { one: "{n} point", other: "{n} points" },
  until: "Until {day}",

  offers: "Only for you",
  code: "Code: {code}",

  challenges: "Challenges",
  "progress.sales": { one: "{have} of {n} purchase", other: "{have} of {n} purchases" },
  "progress.pieces": { one: "{have} of {n} piece", other: "{have} of {n} pieces" },
  "progress.points": { one: "{have} of {n} point", other: "{have} of {n} points" },
  "progress.days": { one: "{have} of {n} day", other: "{have} of {n} days" },
  "progress.spend": "{have} of {target}",
  award: "For it: {what}",
  award_badge: "the badge {badge}",
  won: { one: "Reached", other: "Reached {n} times" },
  badges: "Your badges",

  memberships: "Membership",
  "membership.until": "Yours until {day}",
  "membership.renew": "Renew by {day} to keep it",
  "membership.none": "Not yours yet. You buy it like any other article, in the store or the webshop.",

  goals: "All of us together",
  "goal.members": { one: "{n} member has taken part", other: "{n} members have taken part" },
  "goal.you": "You too",
  "goal.award": {
    one: "{n} point for everybody who took part",
    other: "{n} points for everybody who took part",
  },
  "goal.reached": "Reached",
  "goal.missed": "Not reached this time",

  projects: "What we support",
  "project.given": "{amount} so far",
  "project.members": "{amount} of it in points of members",
  "project.points": "Points to give",
  "project.give": { one: "Give {n} point", other: "Give {n} points" },
  "project.thanks": {
    one: "Thank you. {n} point is on its way.",
    other: "Thank you. {n} points are on their way.",
  },
  "project.refused": "These points cannot be given now.",
  "project.locked": "Your points are locked. Unlock them on the card first.",

  actions: "More ways to points",
  "action.birthday": "On your birthday, by itself",
  "action.anniversary": "On the day you joined, every year",
  "action.left": { one: "{n} time left", other: "{n} times left" },
  "action.done": "Done for now",

  access: "Before others",
  "access.open": "Open to you now",
  "access.mine": "Opens to you {time}",
  "access.all": "For everybody {time}",
  "access.closed": "For another level",

  referral: "Friends",
  "referral.joined": { one: "{n} friend has joined", other: "{n} friends have joined" },
  "referral.waiting": { one: "{n} still to come", other: "{n} still to come" },
  "referral.earned": { one: "{n} point for you", other: "{n} points for you" },
  "referral.terms": "You get {mine}, your friend {theirs}, when a first purchase of {amount} is final.",
  "referral.invite": "Invite a friend",
} as const;
