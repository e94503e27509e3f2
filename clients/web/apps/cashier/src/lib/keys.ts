/**
 * The keyboard's shortcuts. Views offer what they can do; the view that offered last is asked first.
 *
 * The wedge sees keys before this does and keeps a scan's Enter to itself. A letter waits a moment: it might be
 * the first of a scan.
 */

export type Action = "back" | "done" | "redeem" | "undo" | "find" | "enrol" | "return" | "queue" | "settings";

export interface Offer {
  readonly actions: Partial<Record<Action, () => void>>;
  /** Digits and Backspace pressed outside of any field. */
  readonly digit?: (key: string) => void;
}

const KEYS: Readonly<Record<string, Action>> = {
  Escape: "back",
  Enter: "done",
  F1: "find",
  F2: "enrol",
  F3: "return",
  F4: "queue",
  F9: "settings",
};
const LETTERS: Readonly<Record<string, Action>> = { r: "redeem", u: "undo" };

/** Longer than the pause between two characters of a usual scanner, shorter than a person notices. */
const LETTER_WAIT_MS = 90;

const offers: Offer[] = [];

/** Offers shortcuts until the returned function is called. */
export function offerKeys(offer: Offer): () => void {
  offers.push(offer);
  return () => {
    offers.splice(offers.indexOf(offer), 1);
  };
}

function find(action: Action): (() => void) | undefined {
  return offers.findLast((offer) => offer.actions[action])?.actions[action];
}

function isField(target: EventTarget | null): target is HTMLElement {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
}

/** A field of digits has no use for letters, so shortcuts work there too. */
function takesLetters(target: EventTarget | null): boolean {
  return isField(target) && target.dataset["keys"] !== "digits";
}

function pressesItself(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.closest("button, a, select, summary, form") !== null;
}

/** Listens on the window; `lettersOn` tells whether single letters are wanted. */
export function listenForKeys(target: Window, lettersOn: () => boolean): () => void {
  let waiting: ReturnType<typeof setTimeout> | undefined;

  const onKey = (event: KeyboardEvent): void => {
    clearTimeout(waiting);
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const letter = LETTERS[event.key.toLowerCase()];
    if (letter) {
      if (!lettersOn() || takesLetters(event.target) || event.repeat) return;
      waiting = setTimeout(() => find(letter)?.(), LETTER_WAIT_MS);
      return;
    }
    if (/^\d$/.test(event.key) || event.key === "Backspace") {
      if (isField(event.target)) return;
      const digit = offers.findLast((offer) => offer.digit)?.digit;
      if (digit) {
        event.preventDefault();
        digit(event.key === "Backspace" ? "erase" : event.key);
      }
      return;
    }
    const action = KEYS[event.key];
    // A key that is held would go on with what it has led to: Enter on the receipt of the sale that it has finished.
    if (!action || event.repeat || (action === "done" && pressesItself(event.target))) return;
    const act = find(action);
    if (act) {
      event.preventDefault();
      act();
    }
  };
  // A button that a finger or mouse has pressed does not keep the focus: Enter after it means "Done", not the
  // same button once more. Whoever moves by keys keeps the focus where it is.
  const onClick = (event: MouseEvent): void => {
    if (!(event instanceof PointerEvent) || !event.pointerType) return;
    const active = target.document.activeElement;
    if (active instanceof HTMLButtonElement) active.blur();
  };
  target.addEventListener("keydown", onKey);
  target.addEventListener("click", onClick);
  return () => {
    target.removeEventListener("keydown", onKey);
    target.removeEventListener("click", onClick);
  };
}
