// The disperser's page.

import { Plot, bytes, bytesParts, count, duration, find, follow, h, id, percent, put, share, table, tile, tokens, word } from "./shared.js";

/// What the plots show.
const SPAN_MS = 600000;
/// What "now" is in the numbers.
const RECENT_MS = 60000;
/// Batches in the table.
const BATCHES = 12;

/// The stages of a batch: how they are called, and when they begin.
const STAGES = [
  ["s1", "queue", "submitted_at_ms"],
  ["s2", "encode", "encoding_ms"],
  ["s3", "wait for a batch", "encoded_ms"],
  ["s4", "prove", "batched_ms"],
  ["s5", "send and sign", "dispersing_ms"],
];

const STATES = {
  composed: ["Proving", ""],
  dispersing: ["Collecting signatures", ""],
  certified: ["Certified", "good"],
  abandoned: ["Abandoned", "bad"],
};

/// Bytes a second between two samples.
const rate = (a, b, what) => ((b[what] - a[what]) * 1000) / Math.max(1, b.at_ms - a.at_ms);

const throughput = new Plot(find("throughput"), "Throughput",
  [{ name: "certified", kind: "a" }, { name: "accepted", kind: "b" }], (value) => `${bytes(value)}/s`, 1024);
const latency = new Plot(find("latency"), "Latency to the certificate",
  [{ name: "median", kind: "a" }, { name: "95 % within", kind: "b" }], duration, 1000);
put(find("stages"), STAGES.map(([kind, name]) => h("li", {}, h("i", { class: kind }), name)));

function showPlots({ samples, now_ms }) {
  const rates = samples.slice(1).map((sample, at) => ({
    at: sample.at_ms,
    values: ["certified_bytes", "accepted_bytes"].map((what) => rate(samples[at], sample, what)),
  }));
  throughput.show(rates, now_ms, SPAN_MS);
  latency.show(samples.map((sample) => ({ at: sample.at_ms, values: [sample.median_ms, sample.p95_ms] })), now_ms, SPAN_MS);
}

/// The share of each quorum's stake that signs, the least first.
function signing({ operators }) {
  const quorums = new Map();
  for (const { stakes, signs } of operators) {
    for (const { quorum, percent: part } of stakes) quorums.set(quorum, (quorums.get(quorum) ?? 0) + (signs ? 0 : part));
  }
  return [...quorums].map(([quorum, gone]) => [quorum, 100 - gone]).sort((a, b) => a[1] - b[1]);
}

function showNumbers(now) {
  const recent = now.samples.filter(({ at_ms }) => at_ms >= now.now_ms - RECENT_MS);
  const [first, last] = [recent[0], recent.at(-1)];
  const paced = (what) => (recent.length > 1 ? rate(first, last, what) : 0);
  const [value, unit] = bytesParts(paced("certified_bytes"));
  const timed = recent.filter(({ median_ms }) => median_ms !== null);
  const middle = timed.map(({ median_ms }) => median_ms).sort((a, b) => a - b)[Math.floor(timed.length / 2)];
  const slow = Math.max(...timed.map(({ p95_ms }) => p95_ms));
  const silent = now.operators.filter(({ signs }) => !signs).length;
  const [weakest] = signing(now);
  put(find("numbers"),
    tile("Throughput", [value, `${unit}/s`], `certified in the last minute; ${bytes(paced("accepted_bytes"))}/s accepted`),
    tile("Latency", timed.length ? duration(middle).split(" ") : "–", timed.length ? `to the certificate; 95 % within ${duration(slow)}` : "no blob in the last minute"),
    tile("Open blobs", count(now.open_blobs), `${bytes(now.open_bytes)}; ${count(now.encode_queue)} wait for an encoder, ${count(now.batch_queue)} for a batch`),
    tile("Open batches", count(now.batches_in_flight), `${count(now.batches_composed)} composed so far, ${count(now.batches_abandoned)} abandoned`),
    tile("Operators", [count(now.operator_count - silent), `of ${count(now.operator_count)}`],
      weakest ? `sign, with ${percent(weakest[1])} of the stake of quorum ${weakest[0]}` : "no operator table", silent ? "warn" : ""),
    tile("Certified in all", [count(now.certified_blobs), "blobs"], `${bytes(now.certified_bytes)} since the start`));
}

/// The stages of a batch, those that it has come to: [class, name, milliseconds].
function times(batch, now_ms) {
  const at = { ...batch.stages, submitted_at_ms: batch.submitted_at_ms };
  const end = at.certified_ms ?? at.failed_ms ?? now_ms;
  const known = STAGES.filter(([, , begin]) => at[begin] !== undefined);
  const next = (i) => (i < known.length ? at[known[i][2]] : end);
  return known.map(([kind, name], i) => [kind, name, Math.max(0, next(i + 1) - next(i))]);
}

function showBatches({ batches, now_ms }) {
  const shown = batches.slice(0, BATCHES).map((batch) => [batch, times(batch, now_ms)]);
  const total = (parts) => parts.reduce((sum, [, , ms]) => sum + ms, 0);
  const longest = Math.max(1, ...shown.map(([, parts]) => total(parts)));
  const bar = (parts) => h("div", { class: "stages", role: "img", "aria-label": parts.map(([, name, ms]) => `${name} ${duration(ms)}`).join(", "),
    title: parts.map(([, name, ms]) => `${name} ${duration(ms)}`).join("\n"),
    style: { width: `${((total(parts) * 100) / longest).toFixed(2)}%` } },
    parts.map(([kind, , ms]) => h("i", { class: kind, style: { "flex-grow": String(ms) } })));
  // Of the quorum that lags behind; all of them for whoever points at it.
  const signed = ({ signed: quorums, needed_percent, state }) => {
    if (quorums.length === 0) return "";
    const least = Math.min(...quorums.map((quorum) => quorum.percent));
    const each = quorums.map(({ quorum, percent: part }) => `quorum ${quorum}: ${percent(part)}, ${percent(needed_percent)} needed`);
    return h("span", { class: "beside", title: each.join("\n") }, percent(least), share(least, needed_percent, least < needed_percent && state === "abandoned" ? "warn" : undefined));
  };
  const row = ([batch, parts]) => {
    const [text, tone] = STATES[batch.state] ?? [batch.state];
    return [
      id(batch.digest),
      [word(text, tone), batch.error ? h("div", { class: "code soft" }, batch.error) : undefined],
      count(batch.blobs),
      bytes(batch.payload_len),
      signed(batch),
      bar(parts),
      duration(total(parts)),
      `${duration(now_ms - batch.submitted_at_ms)} ago`,
    ];
  };
  table(find("batches"), "The last batches", ["Batch", "State", ["Blobs", "right"], ["Payload", "right tight"], "Stake signed", ["Where the time went", "fill"], ["Time", "right tight"], ["Begun", "right tight"]],
    shown.map(row));
  if (shown.length === 0) put(find("batches"), h("p", { class: "soft" }, "No batch since the start."));
}

function showOperators({ operators, operator_count }) {
  const quorums = [...new Set(operators.flatMap(({ stakes }) => stakes.map(({ quorum }) => quorum)))].sort((a, b) => a - b);
  const part = (stakes, quorum) => stakes.find((stake) => stake.quorum === quorum)?.percent;
  const row = (operator) => {
    const asked = operator.signed + operator.missed;
    const rate = (operator.signed * 100) / asked;
    const state = operator.signs ? (asked ? ["Signs", "good"] : ["Not asked yet", ""]) : ["Does not sign", "bad"];
    return [
      id(operator.operator_id),
      h("span", { class: "code" }, operator.address),
      ...quorums.map((quorum) => (part(operator.stakes, quorum) === undefined ? "–" : percent(part(operator.stakes, quorum)))),
      asked ? h("span", { class: "beside" }, `${percent(rate)} of ${count(asked)}`, share(rate, undefined, rate < 100 ? "warn" : undefined)) : "–",
      word(...state),
      operator.missed ? h("span", { class: "code soft" }, operator.failure ?? "no answer") : "",
    ];
  };
  table(find("operators"), "Operators", ["Operator", "Address", ...quorums.map((quorum) => [`Stake, quorum ${quorum}`, "right tight"]), "Signed lately", "State", "Last failure"], operators.map(row));
  put(find("operators-more"), operator_count > operators.length ? `${count(operators.length)} of ${count(operator_count)}: those in trouble, then those with the most stake` : "");
}

function showAccounts({ accounts, now_ms }) {
  find("accounts-card").hidden = accounts.length === 0;
  const row = (of) => [id(of.account), count(of.blobs), count(of.rows), bytes(of.bytes), tokens(of.charged), `${duration(now_ms - of.last_ms)} ago`];
  table(find("accounts"), "Accounts", ["Account", ["Blobs", "right"], ["Rows", "right"], ["Payload", "right tight"], ["Charged", "right tight"], ["Last blob", "right tight"]],
    accounts.map(row));
}

follow({ activity: "v1/activity" }, "makes no batches", ({ activity }) => {
  if (!activity) return;
  const number = activity.disperser_id === null ? "" : `Disperser ${activity.disperser_id} · `;
  const block = activity.block === null ? "no operator table" : `operator table of block ${count(activity.block)}`;
  put(find("about"), `${number}${block} · ${activity.software}`);
  showNumbers(activity);
  showPlots(activity);
  showBatches(activity);
  showOperators(activity);
  showAccounts(activity);
});
