/** What the phone offers around the page: a screen that stays on, installing, sharing, saving a file. */

interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

const agent = navigator.userAgent;

/** iPads call themselves Macs; only they have several touch points. */
export const isApplePhone =
  /iPhone|iPad|iPod/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1);

export const isApple = isApplePhone || /Macintosh/.test(agent);

/** What a device is called until its owner gives it another name. */
export function deviceLabel(): string {
  const kinds = ["iPhone", "iPad", "Android", "Windows", "Macintosh", "CrOS", "Linux"] as const;
  const kind = kinds.find((each) => agent.includes(each)) ?? "";
  const browsers = [
    [/Edg\//, "Edge"],
    [/Firefox\/|FxiOS\//, "Firefox"],
    [/Chrome\/|CriOS\//, "Chrome"],
    [/Safari\//, "Safari"],
  ] as const;
  const browser = browsers.find(([pattern]) => pattern.test(agent))?.[1] ?? "";
  return [kind.replace("Macintosh", "Mac").replace("CrOS", "Chromebook"), browser]
    .filter(Boolean)
    .join(" · ");
}

class Phone {
  /** The browser's offer to install the card; null when there is none. */
  offer = $state.raw<InstallEvent | null>(null);
  readonly installed =
    matchMedia("(display-mode: standalone)").matches ||
    (navigator as Navigator & { standalone?: boolean }).standalone === true;

  listen(): void {
    addEventListener("beforeinstallprompt", (event) => {
      event.preventDefault();
      this.offer = event as InstallEvent;
    });
    addEventListener("appinstalled", () => (this.offer = null));
  }

  async install(): Promise<void> {
    await this.offer?.prompt();
    this.offer = null;
  }
}

export const phone = new Phone();

/** Keeps the screen on until the function returned is called; does what it can. */
export function keepAwake(): () => void {
  let lock: WakeLockSentinel | null = null;
  let over = false;
  const take = async (): Promise<void> => {
    if (over || document.visibilityState !== "visible") return;
    // A phone that saves its battery refuses; the code is shown all the same.
    lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
    if (over) void lock?.release();
  };
  const again = (): void => void take();
  document.addEventListener("visibilitychange", again);
  void take();
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", again);
    void lock?.release();
  };
}

/** Hands a file to the browser, which saves or opens it as it does with downloads. */
export function handOver(bytes: Uint8Array<ArrayBuffer>, type: string, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Shares a link, or copies it where there is nothing to share with; says what it did. */
export async function shareLink(url: string, title: string): Promise<"shared" | "copied" | "neither"> {
  try {
    if (navigator.share) {
      await navigator.share({ url, title });
      return "shared";
    }
    await navigator.clipboard.writeText(url);
    return "copied";
  } catch {
    return "neither";
  }
}
