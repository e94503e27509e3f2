/** Something a person asked for: whether it is under way, and why it did not work. */
import { prefs, t } from "./prefs.svelte.ts";
import { Away, Failed } from "./rpc.ts";

export class Task {
  busy = $state(false);
  problem = $state("");

  /** Runs what was asked; a second tap while it runs does nothing. Returns whether it worked. */
  async run(what: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = "";
    try {
      await what();
      return !this.problem;
    } catch (error) {
      this.problem = problemOf(error);
      return false;
    } finally {
      this.busy = false;
    }
  }
}

export function problemOf(error: unknown): string {
  if (error instanceof Away) return t("error.away");
  if (error instanceof DOMException) return t("error.kept");
  if (!(error instanceof Failed)) throw error;
  if (error.code === "resource_exhausted") return t("error.busy");
  if (error.reason === "DEVICE_NEW")
    return t("card.new_device", { time: prefs.words.instant(Number(error.metadata["burn_from_ms"])) });
  return t("error.other", { message: error.message || error.reason || error.code });
}
