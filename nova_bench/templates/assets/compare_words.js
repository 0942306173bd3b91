// A difference of two models in plain words, as `nova-bench compare` says it, and what differs between two protocols. No sentence says that two
// models are alike: a test that shows no difference has shown nothing.
"use strict";

const compareWords = (() => {
  const ALPHA = 0.05;

  /** Return amounts with so many decimals that none which is not 0 looks like 0; two decimals more are the most. */
  function rounded(amounts, places) {
    let said = [];
    for (let decimals = places; decimals < places + 3; decimals++) {
      said = amounts.map((amount) => amount.toFixed(decimals));
      if (said.every((one, at) => Number(one) || !amounts[at])) return said;
    }
    const least = `under ${(10 ** -(places + 2)).toFixed(places + 2)}`;
    return said.map((one, at) => (Number(one) || !amounts[at] ? one : least));
  }

  /** Return an interval in words: "0.02 lower to 0.08 higher", "0.06 to 0.30 higher". */
  function between(low, high, places = 2) {
    if (low < 0 && high > 0) {
      const [less, more] = rounded([-low, high], places);
      return `${less} lower to ${more} higher`;
    }
    const word = high > 0 || (low === 0 && high === 0) ? "higher" : "lower";
    const amounts = [Math.abs(low), Math.abs(high)].sort((a, b) => a - b);
    let pair = rounded(amounts, places);
    for (let more = places + 1; pair[0] === pair[1] && more < places + 3; more++) {
      const finer = rounded(amounts, more);
      if (finer[0] !== finer[1]) pair = finer;
    }
    return pair[0] === pair[1] ? `${pair[0]} ${word}` : `${pair[0]} to ${pair[1]} ${word}`;
  }

  /** Return "p = 0.030", with as many digits as show on which side of 0.05 it is. */
  function pWords(p) {
    if (p < 0.001) return "p\u00a0<\u00a00.001";
    for (let digits = 2; digits < 9; digits++) {
      const said = Number(p.toPrecision(digits));
      if (said < ALPHA === p < ALPHA && (said === ALPHA) === (p === ALPHA)) return `p\u00a0=\u00a0${said}`;
    }
    return `p\u00a0=\u00a0${p}`;
  }

  /** Return a p-value for a table: "< 0.001" below that. */
  function pShort(p) {
    return p !== null && p < 0.001 ? "<\u00a00.001" : pValue(p);
  }

  /**
   * Return what a difference comes to: "better" or "worse" (of the second model), "not told", "identical" or "undefined".
   * @param {object|null} pair {difference, low, high, p, differing}
   * @param {boolean} higher whether more is better
   */
  function outcome(pair, higher) {
    if (!pair || pair.difference === null) return "undefined";
    if (pair.differing === 0 && pair.difference === 0) return "identical";
    if (pair.low === null || pair.high === null || pair.p === null) return "undefined";
    if (pair.p >= ALPHA || pair.low * pair.high <= 0) return "not told";
    return pair.difference > 0 === higher ? "better" : "worse";
  }

  /** Return the nodes of a sentence on a pair; `a` and `b` are functions that give a new node with a model's name. */
  function sentence(pair, metric, higher, a, b) {
    const name = () => bdi(metric, 60);
    const of = (amount) => [name(), " of ", b(), ` is ${amount} than that of `, a()];
    const kind = outcome(pair, higher);
    if (kind === "identical") return ["No difference between ", a(), " and ", b(), ": every answer that both gave scored the same, ", name(), "."];
    if (kind === "undefined") {
      if (!pair || pair.difference === null) return [name(), " of ", a(), " and ", b(), " cannot be compared pairwise here."];
      if (!pair.difference) return [name(), " of ", a(), " and ", b(), " does not differ here, and what that shows cannot be said."];
      return [...of(between(pair.difference, pair.difference)), ", and whether this is chance cannot be said."];
    }
    const amount = between(pair.low, pair.high);
    if (kind === "not told") return ["No difference can be told: ", ...of(amount), `, ${pWords(pair.p)}. That is no finding that the two are alike.`];
    return [...of(amount), higher ? "" : `, ${kind}, as lower is better`, `, ${pWords(pair.p)}.`];
  }

  const nested = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  /** Return a setting as a text: "none" for null, "n=20,seed=0" for an object. */
  function shown(value) {
    if (value === null || value === undefined) return "none";
    if (nested(value)) return Object.keys(value).map((key) => `${key}=${shown(value[key])}`).join(",") || "nothing";
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  function apart(one, two, path, found) {
    if (nested(one) && nested(two)) {
      for (const key of new Set([...Object.keys(one), ...Object.keys(two)])) {
        const [a, b] = [one, two].map((each) => (Object.hasOwn(each, key) ? each[key] : undefined));
        apart(a, b, path ? `${path}.${key}` : key, found);
      }
    } else if (JSON.stringify(one) !== JSON.stringify(two)) found.push([path, shown(one), shown(two)]);
    return found;
  }

  /** Return what differs between two signatures: [[key, of the first, of the second], ...]; repeats count, as more make a number less noisy. */
  function differing(first, second) {
    const [one, two] = [first, second].map((signature) => ({ ...signature.protocol, repeats: signature.provenance?.repeats ?? 1 }));
    return apart(one, two, "", []);
  }

  return { between, pWords, pShort, outcome, sentence, differing };
})();
