/** Listens for a wedge on a page: scans are taken out, what they touched is put back as it was. */
import { MAX_SCAN_CHARS, toScan } from "./symbol.ts";
import type { Scan } from "./symbol.ts";
import { Wedge } from "./wedge.ts";
import type { Stroke } from "./wedge.ts";

export interface WedgeOptions {
  readonly onScan: (scan: Scan) => void;
  /** A burst at a scanner's pace that is too short, or too long, to be a scan. */
  readonly onFragment?: () => void;
  /** Called when a burst begins; what it returns is called when the burst was a scan, and undoes what keys did. */
  readonly remember?: () => () => void;
}

/** A burst of this many keys is no longer a single key press: spaces and the like must not press buttons. */
const BURST_CHARS = 2;

const MODIFIERS = new Set(["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "NumLock"]);

/**
 * Listens until the returned function is called. It sees keys before anything else does, and keeps the Enter or
 * Tab of a scan (and of a fragment of one) from the page.
 */
export function attachWedge(target: Window, options: WedgeOptions): () => void {
  const wedge = new Wedge(MAX_SCAN_CHARS);
  /** How to put things back, by where in the burst a scan may have started. */
  const restores = new Map<number, () => void>();

  const onKey = (event: KeyboardEvent): void => {
    if (MODIFIERS.has(event.key)) return;
    const outcome = wedge.take(strokeOf(event));
    switch (outcome.kind) {
      case "gathered":
        if (outcome.index === 0) restores.clear();
        if (outcome.mayStart)
          restores.set(outcome.index, rememberFocus(target.document, options.remember?.()));
        // Within a burst a space or a control combination belongs to the scan, not to the page.
        else if (outcome.index >= BURST_CHARS && (event.ctrlKey || pressesButton(event))) keep(event);
        return;
      case "typed":
        return;
      case "fragment":
        keep(event);
        restores.get(outcome.start)?.();
        options.onFragment?.();
        return;
      case "scan": {
        keep(event);
        restores.get(outcome.start)?.();
        const scan = toScan(outcome.raw, "wedge");
        if (scan.text) options.onScan(scan);
        else options.onFragment?.();
      }
    }
  };
  target.addEventListener("keydown", onKey, { capture: true });
  return () => target.removeEventListener("keydown", onKey, { capture: true });
}

function strokeOf(event: KeyboardEvent): Stroke {
  const atMs = event.timeStamp;
  // A key held down repeats about as fast as a scanner types.
  if (event.repeat || event.isComposing) return { kind: "human" };
  if (event.key === "Enter" || event.key === "Tab") {
    return event.shiftKey || event.ctrlKey || event.altKey ? { kind: "human" } : { kind: "end", atMs };
  }
  if ([...event.key].length !== 1) return { kind: "human" };
  // Group separators arrive as Ctrl and a key: they count as pace and are no text.
  const altGr = event.ctrlKey && event.altKey;
  const printable = altGr || !(event.ctrlKey || event.metaKey);
  return { kind: "text", text: printable ? event.key : "", atMs };
}

function keep(event: KeyboardEvent): void {
  event.preventDefault();
  event.stopImmediatePropagation();
}

function pressesButton(event: KeyboardEvent): boolean {
  return event.key === " " && !isText(event.target);
}

function isText(node: EventTarget | null): node is HTMLInputElement | HTMLTextAreaElement {
  return node instanceof HTMLInputElement || node instanceof HTMLTextAreaElement;
}

/** Remembers the focused field, its text and its selection; the returned function puts them back. */
function rememberFocus(document: Document, also: (() => void) | undefined): () => void {
  const active = document.activeElement;
  const field = isText(active) ? active : undefined;
  const before = field && { value: field.value, start: field.selectionStart, end: field.selectionEnd };
  return () => {
    if (field && before && field.value !== before.value) {
      field.value = before.value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      if (before.start !== null) field.setSelectionRange(before.start, before.end);
    }
    also?.();
    if (active instanceof HTMLElement && active !== document.activeElement) active.focus();
  };
}
