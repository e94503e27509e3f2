/** Sign-up in one field. The member's id is minted here, so that sending it again enrols nobody twice. */
import { Away, Refused } from "./api.ts";
import { prefs } from "./prefs.svelte.ts";
import { journal } from "./session.svelte.ts";
import { play } from "./sound.ts";
import type { EnrolAnswer } from "./types.ts";

class Enrolment {
  text = $state("");
  sending = $state(false);
  answer = $state<EnrolAnswer | null>(null);
  refusal = $state<{ reason: string; message: string } | null>(null);

  start(): void {
    this.text = "";
    this.answer = this.refusal = null;
  }

  /** Enrols what is in the field, or what was scanned: a scan does not touch the field. */
  async submit(text = this.text): Promise<void> {
    const clean = text.trim();
    if (!clean || this.sending) return;
    this.sending = true;
    this.refusal = null;
    try {
      const body = { text: clean, member_id: crypto.randomUUID() };
      this.answer = await journal.once<EnrolAnswer>("enrol", { path: "/enrol", body });
      if (prefs.sound) play("ok");
    } catch (error) {
      if (error instanceof Refused) this.refusal = { reason: error.reason, message: error.message };
      else if (error instanceof Away) this.refusal = { reason: "AWAY", message: "" };
      else throw error;
      if (prefs.sound) play("bad");
    } finally {
      this.sending = false;
    }
  }
}

export const enrolment = new Enrolment();
