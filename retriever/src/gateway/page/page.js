// The gateway's page.

import { bytes, count, duration, find, follow, h, id, put, table, tile, word } from "./shared.js";

const TRUST = { good: ["Good", "good"], unknown: ["Unknown", ""], avoided: ["Asked last", "bad"] };

function showNumbers({ operators }) {
  const sum = (what) => operators.reduce((total, operator) => total + operator[what], 0);
  const avoided = operators.filter(({ trust }) => trust === "avoided").length;
  put(find("numbers"),
    tile("Operators asked", count(operators.length), avoided ? `${count(avoided)} of them are asked last for now` : "none of them is avoided", avoided ? "warn" : ""),
    tile("Requests answered", count(sum("answered")), `${count(sum("late"))} not, or too late; ${count(sum("refused"))} refused`),
    tile("Wrong answers", count(sum("wrong")), "found by the checks, and never passed on", sum("wrong") ? "bad" : ""));
}

function showOperators({ operators }) {
  if (operators.length === 0) return put(find("operators"), h("p", { class: "soft" }, "No operator was asked since the start."));
  table(find("operators"), "Operators", ["Operator", "Address", "Trust", ["Answers in", "right tight"], ["Pace", "right tight"], ["Answered", "right"], ["Late", "right"], ["Refused", "right"], ["Wrong", "right"], "Last fault"],
    operators.map((of) => [
      id(of.operator), h("span", { class: "code" }, of.address), word(...(TRUST[of.trust] ?? [of.trust])),
      of.latency_ms === null ? "–" : duration(of.latency_ms), of.bytes_per_second === null ? "–" : `${bytes(of.bytes_per_second)}/s`,
      count(of.answered), count(of.late), count(of.refused), count(of.wrong),
      of.last_fault ? h("span", { class: "code soft", title: of.last_fault.reason }, of.last_fault.code) : "",
    ]));
}

follow({ scores: "v1/operators" }, "does not serve", ({ scores }) => {
  if (!scores) return;
  showNumbers(scores);
  showOperators(scores);
});
