/**
 * A stand-in for the till program, for working on the screen and taking its pictures. It keeps nothing.
 *
 * `vite` mounts it while developing; `node dev/stand-in.ts [port] [folder]` serves a built screen with it, under
 * the same policy as the till program's. `POST /dev` merges its JSON into the state, to see any situation.
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { MEMBERS, MET, VOUCHER_SCAN, firstSales, firstState, queueItems } from "./people.ts";
import type {
  Basket,
  Member,
  Quote,
  QuoteRequest,
  ReturnPreview,
  ReturnRequest,
  SaleAnswer,
  SaleRequest,
  SaleView,
  TillState,
} from "../src/lib/types.ts";

type Handler = (body: never, match: string[]) => unknown;
type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

const POLICY =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
const EARN_PER_MINOR = 100;

class Refusal extends Error {
  readonly status: number;

  constructor(reason: string, status = 409) {
    super(reason);
    this.status = status;
  }
}

class Pretence {
  state: TillState = firstState();
  sales: SaleView[] = firstSales();
  items = queueItems();
  answers = new Map<string, SaleAnswer>();
  streams = new Set<ServerResponse>();

  change(part: Partial<TillState>): TillState {
    this.state = { ...this.state, ...part };
    for (const stream of this.streams) this.send(stream);
    return this.state;
  }

  send(stream: ServerResponse): void {
    stream.write(`event: state\ndata: ${JSON.stringify(this.state)}\n\n`);
  }

  member(ref: string): Member {
    const found = Object.values(MEMBERS).find((each) => each.member_ref === ref);
    if (!found) throw new Refusal("MEMBER_UNKNOWN");
    return found;
  }

  identify({ scan }: { scan: string }): unknown {
    if (scan === VOUCHER_SCAN) {
      const member = MEMBERS["2012345678905"] as Member;
      const voucher = {
        voucher_id: "v",
        member_ref: member.member_ref,
        points: 500,
        reward_id: "",
        expires_ms: Date.now() + 864e5,
      };
      return { kind: "voucher", voucher, member: this.#shown(member) };
    }
    const member = MEMBERS[scan];
    if (member) return { kind: "member", member: this.#shown(member) };
    const sale = this.sales.find(
      (each) => each.reference && scan.startsWith("9") && scan.endsWith(each.reference),
    );
    if (sale) return { kind: "receipt", sale };
    if (/^4\d{15}$/.test(scan)) return { kind: "none", reason: "PAYMENT_CARD" };
    return { kind: "none", reason: /^\d+$/.test(scan) ? "UNKNOWN" : "FORMAT" };
  }

  quote(request: QuoteRequest): Quote {
    const member = this.member(request.member_ref);
    const total = sum(request.basket);
    const rewards = member.rewards.filter((each) => request.reward_ids.includes(each.reward_id));
    const { unit_points: unit, value_points, value_minor } = this.state.program;
    const rewardsMinor = rewards.length * 250;
    const open = Math.max(0, total - rewardsMinor);
    const spend = request.spend ?? { points: 0 };
    const wish =
      "points" in spend
        ? spend.points
        : Math.min(spend.points_max, Math.floor((open * value_points) / value_minor));
    const points = Math.floor(wish / unit) * unit;
    const cost = rewards.reduce((all, each) => all + each.cost_points, 0);
    const discount = Math.min(
      total,
      rewardsMinor + (points * value_minor) / value_points + (request.voucher ? 500 : 0),
    );
    const earned = Math.floor((total - discount) / EARN_PER_MINOR);
    const explain = (code: string, sign: number, text: string) => ({
      code,
      text,
      points: sign,
      args: {},
      line_no: 0,
    });
    return {
      earned_points: earned,
      burned_points: points + cost,
      discount_minor: discount,
      payable_minor: total - discount,
      burn_limit_points: member.burn_limit_points,
      explanations: [
        explain("per_amount", earned, "1 point per euro"),
        ...(points ? [explain("points_as_money", -points, "Points as money")] : []),
        ...rewards.map((each) => explain("reward", -each.cost_points, each.label)),
      ],
      refusal:
        points + cost > member.burn_limit_points ? { reason: "INSUFFICIENT_POINTS", details: {} } : null,
      stand_in: this.state.link === "offline",
    };
  }

  sell(request: SaleRequest): SaleAnswer {
    const before = this.answers.get(request.sale_id);
    if (before) return before;
    const quote = this.quote(request);
    if (quote.refusal) throw new Refusal(quote.refusal.reason);
    const member = this.member(request.member_ref);
    member.points += quote.earned_points - quote.burned_points;
    member.burn_limit_points = Math.max(0, member.burn_limit_points - quote.burned_points);
    const { earned_points, burned_points, discount_minor, payable_minor, stand_in } = quote;
    const answer: SaleAnswer = {
      sale_id: request.sale_id,
      member_ref: request.member_ref,
      ...{ earned_points, burned_points, discount_minor, payable_minor, stand_in },
      balance_points: member.points,
      authority: burned_points ? [{ kind: stand_in ? "lease" : "server", points: burned_points }] : [],
      receipt: {
        lines: [
          `Points earned: ${earned_points}`,
          `Points redeemed: ${burned_points}`,
          `Balance: ${member.points}`,
        ],
        qr: "9" + "4711008".repeat(60),
      },
    };
    this.answers.set(request.sale_id, answer);
    const lines = request.basket.lines.map((line, index) => ({
      ...{ line_no: index + 1, sku: line.sku, text: line.text ?? "", quantity_milli: line.quantity_milli },
      ...{ amount_minor: line.amount_minor, discount_minor: 0, returned_milli: 0 },
    }));
    this.sales.unshift({
      ...{
        sale_id: request.sale_id,
        occurred_ms: Date.now(),
        reference: request.reference ?? "",
        lines,
        undone: false,
      },
      ...{ member_ref: request.member_ref, amount_minor: sum(request.basket), earned_points, burned_points },
      ...{ discount_minor, payable_minor, state: stand_in ? "queued" : "posted" },
      challenges_met: stand_in ? [] : MET,
    });
    this.change({ basket: null, basket_id: "", queued: this.state.queued + (stand_in ? 1 : 0) });
    return answer;
  }

  undo({ sale_id, undo_id }: { sale_id: string; undo_id: string }): unknown {
    const sale = this.sales.find((each) => each.sale_id === sale_id);
    if (!sale) throw new Refusal("SALE_UNKNOWN");
    const member = this.member(sale.member_ref);
    if (!sale.undone) {
      member.points += sale.burned_points - sale.earned_points;
      member.burn_limit_points += sale.burned_points;
    }
    sale.undone = true;
    const { burned_points: returned_points, earned_points: taken_points } = sale;
    return { undo_id, sale_id, returned_points, taken_points, balance_points: member.points };
  }

  preview(request: ReturnRequest): ReturnPreview {
    const sale = this.sales.find(
      (each) =>
        each.sale_id === request.sale_id || (each.reference && request.receipt?.endsWith(each.reference)),
    );
    if (!sale) throw new Refusal("SALE_UNKNOWN");
    const refund = request.lines.reduce((all, part) => {
      const line = sale.lines.find((each) => each.line_no === part.line_no);
      return line ? all + Math.round((line.amount_minor * part.quantity_milli) / line.quantity_milli) : all;
    }, 0);
    const taken = Math.round(refund / EARN_PER_MINOR);
    return {
      ...{ refund_minor: refund, taken_points: taken, restored_points: 0, debt_points: taken > 30 ? 4 : 0 },
      ...{ balance_points: 1240 - taken, exact: !request.receipt },
    };
  }

  #shown(member: Member): Member {
    const worth =
      Math.floor(member.points / this.state.program.value_points) * this.state.program.value_minor;
    const online = this.state.link === "online";
    return {
      ...member,
      worth_minor: worth,
      name: online ? member.name : "",
      source: online ? "server" : "snapshot",
    };
  }
}

function sum(basket: Basket): number {
  return basket.lines.reduce((all, line) => all + line.amount_minor, 0);
}

function routes(play: Pretence): Record<string, Handler> {
  return {
    "GET /state": () => play.state,
    "POST /identify": (body) => play.identify(body),
    "POST /quote": (body) => play.quote(body),
    "POST /sale": (body) => play.sell(body),
    "POST /undo": (body) => play.undo(body),
    "GET /sales": () => ({ sales: play.sales }),
    "GET /sales/*": (_body, [id]) => play.sales.find((each) => each.sale_id === id),
    "POST /return/preview": (body) => play.preview(body),
    "POST /return": (body) => ({
      ...play.preview(body),
      return_id: "r",
      state: play.state.link === "online" ? "posted" : "queued",
    }),
    "POST /enrol": ({ text }: { text: string }) => {
      if (text.length < 5) throw new Refusal("FORMAT", 400);
      const member = { ...(MEMBERS["96385074"] as Member), points: 0, worth_minor: 0 };
      const online = play.state.link === "online";
      return { member, number: online ? "735008763000000025" : "", state: online ? "posted" : "queued" };
    },
    "GET /queue": () => ({ queued: play.state.queued, oldest_ms: Date.now() - 72e5, items: play.items }),
    "POST /queue/*/seen": (_body, [id]) => {
      for (const item of play.items) if (item.advice_id === id) item.seen = true;
      return {};
    },
    "GET /cashiers": () => ({
      cashiers: ["Ilze", "Märta", "Paweł"].map((label) => ({ cashier_id: label, label })),
    }),
    "POST /cashier": ({ cashier_id, pin }: { cashier_id: string; pin: string }) => {
      if (pin !== "1234") throw new Refusal("PIN_WRONG", 403);
      play.change({ cashier: { cashier_id, label: cashier_id } });
      return { cashier: play.state.cashier, checked: play.state.link === "online" ? "server" : "stand-in" };
    },
    "DELETE /cashier": () => play.change({ cashier: null }),
    "POST /training": ({ on }: { on: boolean }) => play.change({ mode: on ? "training" : "live" }),
    "PUT /basket": ({ basket, basket_id }: { basket: Basket; basket_id: string }) =>
      play.change({ basket, basket_id }),
    "DELETE /basket": () => play.change({ basket: null, basket_id: "" }),
    "POST /dev": (body) => play.change(body),
  };
}

async function read(request: IncomingMessage): Promise<never> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString();
  return (text ? JSON.parse(text) : {}) as never;
}

/** The local API as a middleware; what is not of it goes on to the next. */
export function standIn(): Middleware {
  const play = new Pretence();
  const table = routes(play);
  return (request, response, next) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (!url.pathname.startsWith("/api/v1/")) {
      next();
      return;
    }
    const path = url.pathname.slice("/api/v1".length);
    if (path === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      play.streams.add(response);
      response.on("close", () => play.streams.delete(response));
      play.send(response);
      return;
    }
    const parts = /^\/(?:queue|sales)\/([^/]+)/.exec(path);
    const handler = table[`${request.method} ${parts ? path.replace(parts[1] ?? "", "*") : path}`];
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (!handler) {
      answer(404, { error: { reason: "NOT_FOUND", message: path, details: {} } });
      return;
    }
    read(request)
      .then((body) => answer(200, handler(body, parts ? [parts[1] ?? ""] : [])))
      .catch((error: unknown) => {
        const status = error instanceof Refusal ? error.status : 500;
        answer(status, {
          error: { reason: error instanceof Error ? error.message : "ERROR", message: "", details: {} },
        });
      });
  };
}

function serve(port: number, folder: string): void {
  const api = standIn();
  createServer((request, response) => {
    api(request, response, () => {
      const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
      const file = join(folder, path === "/" ? "index.html" : path);
      readFile(file)
        .then((bytes) => {
          const headers = { "content-type": TYPES[extname(file)] ?? "application/octet-stream" };
          response.writeHead(200, { ...headers, "content-security-policy": POLICY }).end(bytes);
        })
        .catch(() => response.writeHead(404).end());
    });
  }).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[3] ?? fileURLToPath(new URL("../dist", import.meta.url));
  serve(Number(process.argv[2] ?? 8788), folder);
}
