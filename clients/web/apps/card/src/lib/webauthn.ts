/** Passkeys, in the JSON of WebAuthn Level 3, which the browser and the gateway both speak. */

/** Whether this browser has passkeys, and their JSON (all since early 2025 do). */
export const hasPasskeys = "parseRequestOptionsFromJSON" in (globalThis.PublicKeyCredential ?? {});

/** Asks for a passkey; null when the person changed their mind. */
export function usePasskey(optionsJson: string): Promise<string | null> {
  const options = JSON.parse(optionsJson) as PublicKeyCredentialRequestOptionsJSON;
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return answered(navigator.credentials.get({ publicKey }));
}

/** Makes a passkey; null when the person changed their mind. */
export function makePasskey(optionsJson: string): Promise<string | null> {
  const options = JSON.parse(optionsJson) as PublicKeyCredentialCreationOptionsJSON;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return answered(navigator.credentials.create({ publicKey }));
}

async function answered(asked: Promise<Credential | null>): Promise<string | null> {
  try {
    const credential = await asked;
    return credential && JSON.stringify((credential as PublicKeyCredential).toJSON());
  } catch (error) {
    // What the browser says of a person who cancels, waits too long, or has this passkey already.
    const name = error instanceof DOMException ? error.name : "";
    if (["NotAllowedError", "AbortError", "InvalidStateError"].includes(name)) return null;
    throw error;
  }
}
