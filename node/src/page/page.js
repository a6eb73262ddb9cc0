// The node's page, for its operator.

import { bytes, bytesParts, count, date, duration, find, follow, h, id, percent, put, share, table, tile, word } from "./shared.js";

/// Who has to act on a refusal, as the node sees it.
const BLAME = { us: "this node", caller: "the disperser", peer: "another peer" };
const DRIVES = { in_sync: ["In sync", "good"], rebuilding: ["Rebuilding", "warn"], failed: ["Failed", "bad"] };

const none = (parent, text) => put(parent, h("p", { class: "soft" }, text));

function showNumbers(now) {
  const { store, stakes, custody } = now;
  const [held, unit] = bytesParts(store?.bytes ?? 0);
  const [most] = [...stakes].sort((a, b) => b.percent - a.percent);
  const others = stakes.filter((each) => each !== most).map(({ quorum, percent: part }) => `${percent(part)} of quorum ${quorum}`);
  const damaged = now.repair.damaged;
  put(find("numbers"),
    most ? tile("Stake", percent(most.percent).split(" "), [`of quorum ${most.quorum}`, ...others].join(", ")) : tile("Stake", "None", "not in the newest operator table", "warn"),
    tile("Signed", [count(now.signed_batches), "batches"], `with ${bytes(now.stored_bytes)}, since the start ${duration(now.uptime_secs * 1000)} ago`),
    tile("Held", [held, unit], store ? `${count(store.blobs)} blobs in ${count(store.batches)} batches` : "the database is being opened"),
    tile("Free on disk", now.disk_free_bytes === null ? "–" : bytesParts(now.disk_free_bytes), now.drives.length ? "on the fullest drive in use" : "on the device of the database"),
    tile("Damaged", count(damaged), `${count(now.repair.repaired)} parts repaired since the start`, damaged ? "warn" : ""),
    custody
      ? tile("Open challenges", count(custody.open_count), `${count(custody.answered)} answered since the start, ${count(custody.missed)} missed`, custody.missed ? "bad" : "")
      : tile("Evidence", count(now.equivocations), "pairs of batches that a disperser signed under one number"));
}

function showRefusals({ refusals }) {
  if (refusals.length === 0) return none(find("refusals"), "No batch was refused since the start.");
  table(find("refusals"), "Refused batches", ["Why", ["Times", "right"], "Disperser", "Who has to act", ["Last", "tight"], ["In words", "wide"]],
    refusals.map(({ code, times, disperser, blame, last_ms, message }) => [
      h("span", { class: "code" }, code), count(times), disperser === null ? "not registered" : count(disperser), BLAME[blame] ?? blame, date(last_ms), message,
    ]));
}

function showWindows({ windows, last_expiry }) {
  put(find("windows-more"), last_expiry ? `Last look for what is over: ${date(last_expiry.at * 1000)}` : "");
  if (windows.length === 0) return none(find("windows"), "Nothing is held.");
  const most = Math.max(...windows.map((window) => window.bytes), 1);
  table(find("windows"), "Expiry windows", [["Until", "tight"], ["Batches", "right"], "Slices"],
    windows.map((window) => [date(window.ends_at * 1000), count(window.batches), h("span", { class: "beside" }, bytes(window.bytes), share((window.bytes * 100) / most))]));
}

function showUpkeep({ scrub, last_scrub, repair, index, time_kept_ms, kernel, versions }) {
  const facts = [
    ["Scrub", scrub ? `running, ${bytes(scrub.bytes)} read` : last_scrub ? `${date(last_scrub.finished_at * 1000)}: ${count(last_scrub.blobs)} blobs read, ${count(last_scrub.corrupt)} corrupt` : "none since the start"],
    ["Repair", repair.damaged ? `${count(repair.damaged)} parts damaged, ${count(repair.failing)} of them cannot be made anew so far` : "nothing damaged"],
    ["Promises of peers", index && !index.done && `${count(index.promises)} found, ${count(index.peers_done)} peers done`],
    ["Time kept", time_kept_ms !== null && date(time_kept_ms)],
    ["Protocol", `versions ${versions.join(", ")}; kernel ${kernel}`],
  ];
  put(find("upkeep"), h("dl", { class: "reasons" }, facts.filter(([, text]) => text).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text)))));
}

function showDrives({ drives }) {
  find("drives-card").hidden = drives.length === 0;
  table(find("drives"), "Drives", ["Drive", "State", ["Made again from others", "right"], ["Rebuilt", "right tight"], ["Why it failed", "wide"]],
    drives.map((drive, at) => [count(at + 1), word(...(DRIVES[drive.state] ?? [drive.state])), count(drive.healed), bytes(drive.rebuilt_bytes), drive.cause ?? ""]));
}

function showCustody({ custody }) {
  find("custody-card").hidden = !custody;
  if (!custody) return;
  const silent = custody.ledgers.filter(({ problem }) => problem !== null).length;
  put(find("custody-more"), `${count(custody.ledgers.length - silent)} of ${count(custody.ledgers.length)} ledgers answer`);
  if (custody.open.length === 0) return none(find("custody"), "No challenge is open.");
  table(find("custody"), "Custody challenges", [["Challenge", "right"], "Blob", ["Blocks left", "right"], "Answered", ["Problem", "wide"]],
    custody.open.map(({ challenge, blob_key, blocks_left, answered, problem }) => [count(challenge), id(blob_key), count(blocks_left), answered ? "yes" : "not yet", problem ?? ""]));
}

follow({ status: "v1/status", refusals: "v1/refusals" }, "does not sign", ({ status, refusals }) => {
  if (refusals) showRefusals(refusals);
  if (!status) return;
  const place = status.operator_index === null ? "Operator" : `Operator ${status.operator_index}`;
  const block = status.head === null ? "no operator table" : `operator table of block ${count(status.head)}`;
  put(find("about"), place, " ", id(status.operator_id), ` · ${block} · ${status.software}`);
  showNumbers(status);
  showWindows(status);
  showUpkeep(status);
  showDrives(status);
  showCustody(status);
});
