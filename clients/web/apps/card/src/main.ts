import "@tallystick/ui/tokens.css";
import "@tallystick/ui/base.css";
import "./card.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { phone } from "./lib/phone.svelte.ts";
import { keepBrought } from "./lib/place.ts";
import { prefs } from "./lib/prefs.svelte.ts";
import { session } from "./lib/session.svelte.ts";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no element #app");

keepBrought();
phone.listen();

/** Not awaited by the script itself: the words of a language wait for the script that asks for them. */
async function begin(into: Element): Promise<void> {
  await Promise.all([prefs.apply(), session.start()]);
  mount(App, { target: into });
  if (import.meta.env.PROD && "serviceWorker" in navigator) await navigator.serviceWorker.register("./sw.js");
}

void begin(target);
