// How long a change was on its way, on the machine where both ends are: from the click in one tab until the node's
// batch is here again, or in another tab of the same browser.

const KEPT = 32;

/** The machine's clock, with parts of a millisecond. */
export const clock = () => performance.timeOrigin + performance.now();

export class Latency {
  #set = new Map(); // version -> when it was set; a done and its batch come in either order
  #seen = new Map(); // version -> when it arrived here
  #channel = new BroadcastChannel('rollcall.latency');

  /** Calls measured({version, ms, own}) once for each change whose two ends are known. */
  constructor(measured) {
    this.measured = measured;
    this.#channel.onmessage = ({ data }) => this.#note(data.version, data.at, false);
  }

  /** Runs a publish and remembers when it began. */
  async during(publish) {
    const at = clock();
    const done = await publish();
    if (this.#seen.get(done.version) < at) return done; // nothing to see changed: the version is an old one
    this.#note(done.version, at, true);
    this.#channel.postMessage({ version: done.version, at });
    return done;
  }

  arrived(version, at) {
    keep(this.#seen, version, at);
    this.#compare(version);
  }

  #note(version, at, own) {
    keep(this.#set, version, { at, own });
    this.#compare(version);
  }

  #compare(version) {
    const set = this.#set.get(version);
    const seen = this.#seen.get(version);
    if (set === undefined || seen === undefined) return;
    this.#set.delete(version);
    this.measured({ version, ms: Math.max(0, seen - set.at), own: set.own });
  }
}

// The oldest goes first: a change that nobody here watches must not stay for ever.
function keep(map, key, value) {
  map.set(key, value);
  if (map.size > KEPT) map.delete(map.keys().next().value);
}

/** A duration as it is read: 3.4 ms, 41 ms, 1.2 s. */
export function spell(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
