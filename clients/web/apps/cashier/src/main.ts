import "@tallystick/ui/tokens.css";
import "@tallystick/ui/base.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { prefs } from "./lib/prefs.svelte.ts";
import { session } from "./lib/session.svelte.ts";
import { till } from "./lib/till.svelte.ts";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no element #app");

prefs.apply();
till.onSale = (sale) => session.soldElsewhere(sale);
till.start();
mount(App, { target });
void session.resume();
