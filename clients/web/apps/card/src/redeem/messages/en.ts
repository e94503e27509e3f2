/** The words of the page where points alone buy something. They come with the page, not with the card. */
export const en = {
  sure: { one: "{n} point is taken for it at once.", other: "{n} points are taken for it at once." },
  left: { one: "{n} left", other: "{n} left" },
  more: { one: "{n} more for you", other: "{n} more for you" },
  get: "Get it",
  gone: "This is not offered to you at the moment.",
  had: "You have had as many of it as you can for now.",
  sold_out: "Nothing is left of it.",
  missing: "Your points do not suffice for it.",
  locked: "Your points are locked. Unlock them on the card first.",
  refused: "This cannot be had now.",

  done: "It is yours. Show your card and say the code.",
  list: "What you have got",
  none: "Nothing yet.",
  as_of: "Without a connection, this is how it was seen last.",
  points: { one: "{n} point", other: "{n} points" },
  code: "Code",
  open: "Not handed out yet",
  used: "Handed out {time}",
  cancelled: "Cancelled, the points are back",
} as const;
