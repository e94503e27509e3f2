/**
 * A stand-in for the gateway, for working on the card and taking its pictures. It keeps nothing and checks nothing: any
 * six digits but 000000 are the right code.
 *
 * `vite` mounts it while developing; `node dev/stand-in.ts [port] [folder]` serves a built card with it at
 * /card/demo/, under the same policy as the gateway. `POST /dev` merges its JSON into the member's card.
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import {
  PROGRAM,
  firstCard,
  firstConsents,
  firstEntries,
  firstGoals,
  firstProjects,
  firstRedemptions,
  instant,
} from "./member.ts";
import type { ClubCard } from "../src/club/types.ts";
import type { CardDevice, CardVoucher, MemberCard, Passkey, Profile } from "../src/lib/types.ts";

type Handler = (body: Record<string, never>) => unknown;
type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HOME = "/card/demo/";
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
};
const MEMBER_ID = "0190b5e0-7c1e-7a52-a4d2-2f9f3c6d1e11";
const CREDENTIAL_BYTES = 137;

const code = (body: { code: string }): boolean => body.code !== "000000";
const wrong = { refused: { reason: "SIGN_IN_REFUSAL_CODE_WRONG", triesLeft: 4 } };

class Pretence {
  card: ClubCard = firstCard(MEMBER_ID);
  projects = firstProjects();
  redemptions = firstRedemptions();
  subscribed = false;
  consents = firstConsents();
  devices: CardDevice[] = [];
  passkeys: Passkey[] = [];
  profile: Profile = { givenName: "Ilze", birthday: "1990-05-06" };

  signIn(device: { publicJwk: string; label: string }): unknown {
    const deviceId = Buffer.from(device.publicJwk).toString("base64url").slice(-43);
    const registered = { deviceId, label: device.label, registeredAt: instant(0), burnFrom: instant(0) };
    this.devices.push(registered);
    return {
      signedIn: {
        ...{ memberId: MEMBER_ID, accessToken: "token", expiresInS: 300, enrolled: true },
        ...{ device: registered, credential: this.credential() },
      },
    };
  }

  credential(): unknown {
    return {
      credential: Buffer.alloc(CREDENTIAL_BYTES, 7).toString("base64"),
      programId: PROGRAM.programId,
      expiresAt: instant(14),
      renewAt: instant(7),
    };
  }

  issue(asked: { voucherId: string; storeId: string; points?: string; rewardId?: string }): unknown {
    const reward = this.card.rewards?.find((each) => each.rewardId === asked.rewardId);
    const points = asked.points ?? reward?.costPoints ?? "0";
    const { voucherId, storeId, rewardId } = asked;
    const digits = "1" + "4711008".repeat(58);
    const voucher: CardVoucher = { voucherId, storeId, points, digits, endsAt: instant(7) };
    if (rewardId) voucher.rewardId = rewardId;
    this.card.vouchers = [...(this.card.vouchers ?? []), voucher];
    const active = String(Number(this.card.balance?.active) - Number(points));
    this.card.balance = { ...this.card.balance, active, held: points };
    return { voucher: { digits } };
  }

  donate(asked: { projectId: string; points: string }): unknown {
    const project = this.projects.find((each) => each.projectId === asked.projectId);
    if (!project || this.card.spendLocked)
      return { decision: { refused: { reason: "REFUSAL_MEMBER_LOCKED" } } };
    const active = String(Number(this.card.balance?.active) - Number(asked.points));
    this.card.balance = { ...this.card.balance, active };
    project.donated = { amountMinor: String(Number(project.donated?.amountMinor) + Number(asked.points)) };
    return { decision: { posted: {} } };
  }

  redeem({ commandId, rewardId }: { commandId: string; rewardId: string }): unknown {
    const reward = this.card.rewards?.find((each) => each.rewardId === rewardId);
    if (!reward) return { decision: { refused: { reason: "REFUSAL_REASON_REWARD_UNKNOWN" } } };
    const points = reward.costPoints ?? "0";
    const active = String(Number(this.card.balance?.active) - Number(points));
    this.card.balance = { ...this.card.balance, active };
    const redemption = {
      ...{ redemptionId: commandId, rewardId, rewardName: reward.name ?? "", points },
      ...{ code: "4HNB-8WZC-T3QE", state: "REDEMPTION_STATE_OPEN", redeemedAt: instant(0) },
    };
    this.redemptions = [redemption, ...this.redemptions];
    return { decision: { posted: {} }, redemption };
  }
}

function routes(play: Pretence): Record<string, Handler> {
  return {
    "SignInService/GetCardProgram": () => PROGRAM,
    "SignInService/StartEmailCode": () => ({ sessionId: "s", expiresAt: instant(1 / 144) }),
    "SignInService/FinishEmailCode": (body) => (code(body as never) ? play.signIn(body["device"]!) : wrong),
    "SignInService/IssueAppToken": () => ({ accessToken: "token", expiresInS: 300 }),
    "AppService/GetCard": () => ({ card: { ...play.card, asOf: instant(0) } }),
    "AppService/SetSpendLock": ({ locked }) => {
      play.card.spendLocked = Boolean(locked);
      return {};
    },
    "AppService/ListConsents": () => ({ consents: play.consents }),
    "AppService/SetConsent": (consent) => {
      const { purpose, channel, granted } = consent as Record<string, never>;
      return { consent: { purpose, channel, granted } };
    },
    "AppService/ExportMember": () => ({ json: Buffer.from('{"member":"Ilze"}').toString("base64") }),
    "AppService/EraseMe": (body) => (code(body as never) ? { member: {} } : wrong),
    "AppService/IssueWalletPass": () => ({ pkpass: Buffer.from("PK").toString("base64") }),
    "AppService/ListPasskeys": () => ({ passkeys: play.passkeys }),
    "CodeService/ListCardDevices": () => ({ devices: play.devices }),
    "CodeService/RenewCredential": () => ({
      device: play.devices.at(-1),
      credential: play.credential(),
    }),
    "CodeService/RevokeCardDevice": ({ deviceId }) => {
      const device = play.devices.find((each) => each.deviceId === deviceId);
      if (device) device.revokedAt = instant(0);
      return { device };
    },
    "LedgerService/ListEntries": () => ({ entries: firstEntries() }),
    "SharingService/ListProjects": () => ({ projects: play.projects }),
    "SharingService/ListGoals": () => ({ goals: firstGoals() }),
    "SharingService/DonatePoints": (body) => play.donate(body as never),
    "RewardService/ListRedemptions": () => ({ redemptions: play.redemptions }),
    "RewardService/RedeemReward": (body) => play.redeem(body as never),
    "NotificationService/GetPushKey": () => ({
      ...{ applicationServerKey: `B${"A".repeat(86)}`, subscribed: play.subscribed },
    }),
    "NotificationService/SetPushSubscription": () => {
      play.subscribed = true;
      return {};
    },
    "NotificationService/RemovePushSubscription": () => {
      play.subscribed = false;
      return {};
    },
    "StoreService/IssueVoucher": (body) => play.issue(body as never),
    "MemberService/GetProfile": () => ({ profile: play.profile }),
    "MemberService/UpdateProfile": (part) => {
      Object.assign(play.profile, part);
      return { profile: play.profile };
    },
    "WebshopService/RedeemClaim": () => ({ decision: { posted: { benefits: { earnedPoints: "42" } } } }),
  };
}

async function read(request: IncomingMessage): Promise<Record<string, never>> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString();
  return (text ? JSON.parse(text) : {}) as Record<string, never>;
}

/** The gateway as a middleware; what is not of it goes on to the next. */
export function standIn(): Middleware {
  const play = new Pretence();
  const table = routes(play);
  table["dev"] = (part) => {
    const { devices, ...card } = part as unknown as { devices?: CardDevice[] } & MemberCard;
    if (devices) play.devices.push(...devices);
    Object.assign(play.card, card);
    return {};
  };
  return (request, response, next) => {
    const name = new URL(request.url ?? "/", "http://localhost").pathname.replace(
      /^\/(tallystick\.v1\.)?/,
      "",
    );
    const handler = request.method === "POST" ? table[name] : undefined;
    if (!handler) {
      next();
      return;
    }
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    read(request)
      .then((body) => answer(200, handler(body)))
      .catch((error: unknown) => answer(500, { code: "internal", message: String(error) }));
  };
}

function serve(port: number, folder: string): void {
  const gateway = standIn();
  createServer((request, response) => {
    gateway(request, response, () => {
      const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
      const name = path.startsWith(HOME) ? path.slice(HOME.length) || "index.html" : "";
      readFile(join(folder, name))
        .then((bytes) => {
          const headers = { "content-type": TYPES[extname(name)] ?? "application/octet-stream" };
          response.writeHead(200, { ...headers, "content-security-policy": POLICY }).end(bytes);
        })
        .catch(() => response.writeHead(404).end());
    });
  }).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}${HOME}`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[3] ?? fileURLToPath(new URL("../dist", import.meta.url));
  serve(Number(process.argv[2] ?? 8789), folder);
}
