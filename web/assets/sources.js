// What this page has said about its user besides availability: a call, the calendar, the place. The node shows only
// what follows from it, so the page remembers, for all tabs of the user, until each ends.

const CALL = 'page-call';

export const calls = {
  call: { label: 'Call', parties: 2, presenting: false },
  conference: { label: 'Group call', parties: 5, presenting: false },
  presenting: { label: 'Presenting', parties: 5, presenting: true },
};

export const entries = {
  meeting: { label: 'Meeting' },
  focus: { label: 'Focus time' },
  outOfOffice: { label: 'Out of office' },
};

export class Sources {
  /** store is localStorage or what works like it; publish sends a source to the node. */
  constructor(login, store, publish) {
    this.key = `rollcall.sources.${login}`;
    this.store = store;
    this.publish = publish;
  }

  /** What is on now: {call: {until}, meeting: {start, until}, ..}, ended ones left out. */
  running(now) {
    return Object.fromEntries(Object.entries(this.#remembered()).filter(([, source]) => source?.until > now));
  }

  /** Starts a call, which ends the one before, or ends the one that is on. */
  async toggleCall(kind, ms, now) {
    const running = this.running(now);
    const on = !running[kind];
    const { parties, presenting } = calls[kind];
    const value = on ? { parties, presenting, duration: seconds(ms) } : { clear: true };
    await this.publish({ source: 'call', key: CALL, ...value });
    Object.keys(calls).forEach((other) => delete running[other]);
    if (on) running[kind] = { start: now, until: now + ms };
    this.#remember(running);
  }

  /** Adds or removes an entry of the calendar, which always travels whole. */
  async toggleEntry(kind, ms, now, message) {
    const running = this.running(now);
    if (running[kind]) delete running[kind];
    else running[kind] = { start: now, until: now + ms, message };
    const list = Object.keys(entries).filter((k) => running[k]).map((k) => entry(k, running[k]));
    await this.publish(list.length > 0 ? { source: 'calendar', entries: list } : { source: 'calendar', clear: true });
    this.#remember(running);
  }

  /** Ends the call and empties the calendar, whoever filled it. */
  async clear() {
    await this.publish({ source: 'call', key: CALL, clear: true });
    await this.publish({ source: 'calendar', clear: true });
    this.#remember({});
  }

  // The store is shared with whatever else this address has served: what is not ours counts as nothing.
  #remembered() {
    try {
      return JSON.parse(this.store.getItem(this.key)) ?? {};
    } catch {
      return {};
    }
  }

  #remember(running) {
    this.store.setItem(this.key, JSON.stringify(running));
  }
}

function entry(kind, { start, until, message }) {
  return { kind, start: new Date(start).toISOString(), end: new Date(until).toISOString(), message };
}

function seconds(ms) {
  return `PT${Math.round(ms / 1000)}S`;
}
