/** The parts that every screen is made of. Styles: import `@tallystick/ui/tokens.css` and `@tallystick/ui/base.css`. */
export { default as Icon } from "./Icon.svelte";
export type { IconName } from "./icons.ts";
export { default as Key } from "./Key.svelte";
export { default as Mark } from "./Mark.svelte";
export { default as Qr } from "./Qr.svelte";
export { default as Shape } from "./Shape.svelte";
export { default as Stepper } from "./Stepper.svelte";
