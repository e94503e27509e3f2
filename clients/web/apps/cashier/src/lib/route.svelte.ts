/** The view on screen, kept in the address so that the browser's back key works. */
const VIEWS = ["home", "return", "enrol", "find", "queue", "settings", "cashier"] as const;

export type View = (typeof VIEWS)[number];

function viewOf(hash: string): View {
  const name = hash.replace(/^#\/?/, "");
  return VIEWS.find((view) => view === name) ?? "home";
}

class Route {
  view = $state<View>(viewOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => {
      this.view = viewOf(location.hash);
    });
  }

  go(view: View): void {
    this.view = view;
    location.hash = view === "home" ? "#/" : `#/${view}`;
  }
}

export const route = new Route();
