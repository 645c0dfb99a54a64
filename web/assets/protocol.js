// The native protocol over a WebSocket (docs/protocol.md), for one tab. No DOM in here.
//
//   connecting -> live -> waiting (1-30 s, full jitter) -> connecting ..
//                   `---> stopped (signed out, refused, taken over)
//
// A Stream resumes by itself: it says which session it was in and what has arrived, and the node sends the rest. Where
// the session is gone it asks for everything again. An item is handed on once, and never an older one after a newer.

const SUBPROTOCOL = 'rollcall.v1.json';
const ACK_DELAY = 750; // ms, below the node's first re-send after one second
const HALF_WINDOW = 2; // of four batches: acknowledged at once, so that the rest keeps flowing
const ANSWER_TIME = 10_000; // ms for welcome, answers and pong
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const RENEW_AT = 0.8; // of a token's life
const RENEW_AGAIN = 10_000; // ms after a renewal that failed
const LONGEST_TIMER = 2 ** 31 - 1;

// What to do after a close code; every other code waits and comes back.
const FINAL = new Map([
  [1000, 'signed out'],
  [1002, 'the node did not understand this page'],
  [1007, 'the node did not understand this page'],
  [1008, 'the node refused what this page sent'],
  [1009, 'a message was too large'],
  [4403, 'this is not allowed'],
  [4409, 'taken over'],
]);

/** Receiver keeps what has arrived: batches by number, items by version. */
export class Receiver {
  #versions = new Map();
  #ahead = new Set();
  seq = 0; // every batch up to here has arrived
  owed = 0; // batches since the last acknowledgement

  /** Tells whether a batch is new; one that is known needs its acknowledgement again. */
  batch(seq) {
    if (seq <= this.seq || this.#ahead.has(seq)) {
      this.owed = HALF_WINDOW;
      return false;
    }
    this.#ahead.add(seq);
    while (this.#ahead.delete(this.seq + 1)) this.seq++;
    this.owed++;
    return true;
  }

  /** Tells whether an item is newer than the one known of its user, and remembers it. */
  newer({ user, version }) {
    if (this.#versions.has(user) && version <= this.#versions.get(user)) return false;
    this.#versions.set(user, version);
    return true;
  }

  /** A new session numbers its batches from 1. Versions stay: what is shown never goes back. */
  restart() {
    this.seq = 0;
    this.owed = 0;
    this.#ahead.clear();
  }
}

/** The wait before the n-th attempt in a row, in ms: anywhere up to 1, 2, 4 .. 30 s. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt - 1, 5));
}

/** A refusal by the node, or a connection that was not there. */
export class Refused extends Error {
  constructor({ code, message, retryAfterMs }) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

const LOST = { code: 'connection_lost', message: 'the connection was lost before the node answered' };
const ABSENT = { code: 'not_connected', message: 'there is no connection to the node: nothing was changed' };

export class Stream {
  #receiver = new Receiver();
  #pending = new Map();
  #socket = null;
  #session = '';
  #token = null; // {value, renew}
  #nextId = 1;
  #attempt = 0;
  #comeBack; // ms after which a node that goes away wants to be asked again
  #timers = {};

  /** Calls welcome, batch, notice and state of `on`; `token` resolves to {value, life in ms}. */
  constructor({ url, endpoint, device, token, on }) {
    Object.assign(this, { url, endpoint, device, fetchToken: token, on });
    this.phase = 'idle';
  }

  start() {
    if (this.phase === 'idle') this.#open();
  }

  /** Ends the wait before the next attempt: the network is back, or the user asks. */
  retryNow() {
    if (this.phase === 'waiting') this.#open();
  }

  publish(source) {
    return this.#ask({ type: 'publish', ...source });
  }

  watch(change) {
    return this.#ask({ type: 'watch', ...change });
  }

  active() {
    this.#send({ type: 'activity', active: true });
  }

  get token() {
    return this.#token?.value;
  }

  /** Signs out: the device's session ends now. Resolves when the node has it, or could not be told. */
  async leave() {
    const told = this.phase === 'live' ? this.#ask({ type: 'bye' }).catch(() => {}) : null;
    await told;
    this.#stop('signed out');
  }

  async #open() {
    this.#enter('connecting');
    try {
      await this.#freshToken();
    } catch (err) {
      this.#later(err.message);
      return;
    }
    if (this.phase !== 'connecting') return;
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.#hello();
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#closed(code, reason);
    this.#after('answer', ANSWER_TIME, () => this.#drop('the node does not answer'));
  }

  #hello() {
    const { endpoint, device } = this;
    const resume = this.#session ? { session: this.#session, ack: this.#receiver.seq } : {};
    this.#send({ type: 'hello', token: this.#token.value, endpoint, device, ...resume });
  }

  #receive(frame) {
    const known = {
      welcome: () => this.#welcome(frame),
      batch: () => this.#batch(frame),
      done: () => this.#settle(frame.id, (ask) => ask.resolve(frame)),
      error: () => this.#refusal(frame),
      notice: () => this.#notice(frame),
      pong: () => this.#clear('answer'),
    };
    known[frame.type]?.(); // a type that is not known is from a newer node and may be ignored
  }

  #welcome(frame) {
    this.#clear('answer');
    this.#attempt = 0;
    this.#session = frame.session;
    if (!frame.resumed) this.#receiver.restart();
    this.#keepAlive(frame.pingMs ?? 25_000);
    this.#planRenewal();
    this.#enter('live', { resumed: frame.resumed });
    this.on.welcome(frame);
  }

  #batch({ seq, items }) {
    if (this.#receiver.batch(seq)) {
      const fresh = items.filter((item) => this.#receiver.newer(item));
      if (fresh.length > 0) this.on.batch(fresh);
    }
    if (this.#receiver.owed >= HALF_WINDOW) this.#acknowledge();
    else if (!this.#timers.ack) this.#after('ack', ACK_DELAY, () => this.#acknowledge());
  }

  #acknowledge() {
    this.#clear('ack');
    this.#receiver.owed = 0;
    if (this.#receiver.seq === 0) return; // the first batch is missing: it will be sent again
    this.#send({ type: 'ack', seq: this.#receiver.seq });
    this.on.acknowledged?.(this.#receiver.seq);
  }

  #refusal(frame) {
    const err = new Refused(frame);
    if (frame.id && this.#settle(frame.id, (ask) => ask.reject(err))) return;
    this.on.refused?.(err);
  }

  #notice(frame) {
    if (frame.code === 'token_expiring') this.#renew();
    // A page belongs to its node, so another node's address is not followed, only the delay.
    if (frame.code === 'going_away') this.#comeBack = Math.min(Math.max(Number(frame.delayMs) || 0, 0), LONGEST_WAIT);
    this.on.notice?.(frame);
  }

  #ask(frame) {
    if (this.phase !== 'live') return Promise.reject(new Refused(ABSENT));
    const id = this.#nextId++;
    const timer = setTimeout(() => this.#drop('the node does not answer'), ANSWER_TIME);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, timer });
      this.#send({ ...frame, id });
    });
  }

  #settle(id, how) {
    const ask = this.#pending.get(id);
    if (!ask) return false;
    clearTimeout(ask.timer);
    this.#pending.delete(id);
    how(ask);
    return true;
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  // A browser does not tell of the node's pings, nor of a peer that has vanished: so ask.
  #keepAlive(every) {
    this.#after('ping', every, () => {
      this.#send({ type: 'ping' });
      this.#after('answer', ANSWER_TIME, () => this.#drop('the node does not answer'));
      this.#keepAlive(every);
    });
  }

  async #freshToken() {
    if (this.#token && Date.now() < this.#token.renew) return;
    const { value, life } = await this.fetchToken();
    this.#token = { value, renew: Date.now() + life * RENEW_AT };
  }

  #planRenewal() {
    const wait = Math.max(this.#token.renew - Date.now(), RENEW_AGAIN);
    this.#after('renew', Math.min(wait, LONGEST_TIMER), () => this.#renew());
  }

  async #renew() {
    try {
      this.#token.renew = 0;
      await this.#freshToken();
      await this.#ask({ type: 'token', token: this.#token.value });
    } catch {
      // The node closes with 4401 when the old token ends, and a new one is fetched then.
    }
    if (this.phase === 'live') this.#planRenewal();
  }

  #closed(code, reason) {
    const comeBack = this.#comeBack;
    this.#release();
    if (FINAL.has(code)) {
      this.#stop(FINAL.get(code), code);
      return;
    }
    if (code === 4401) this.#token = null;
    this.#later(reason || 'the connection was lost', code === 4429 ? LONGEST_WAIT : 0, comeBack);
  }

  #drop(why) {
    const socket = this.#socket;
    this.#release();
    socket?.close();
    this.#later(why);
  }

  // Forgets the socket: what it still says is not heard, what waits for it is told.
  #release() {
    this.#socket = null;
    this.#comeBack = undefined;
    Object.keys(this.#timers).forEach((name) => this.#clear(name));
    for (const id of [...this.#pending.keys()]) this.#settle(id, (ask) => ask.reject(new Refused(LOST)));
  }

  #later(why, atLeast = 0, asked = undefined) {
    if (this.phase === 'stopped') return;
    this.#attempt++;
    const wait = asked ?? Math.max(atLeast, backoff(this.#attempt));
    this.#after('retry', wait, () => this.#open());
    this.#enter('waiting', { retryAt: Date.now() + wait, why });
  }

  #stop(why, code = 1000) {
    const socket = this.#socket;
    this.#release();
    socket?.close();
    if (this.phase !== 'stopped') this.#enter('stopped', { why, code });
  }

  #enter(phase, detail = {}) {
    if (phase === 'connecting') this.#clear('retry');
    this.phase = phase;
    this.on.state({ phase, attempt: this.#attempt, ...detail });
  }

  #after(name, ms, run) {
    this.#clear(name);
    this.#timers[name] = setTimeout(() => {
      delete this.#timers[name];
      run();
    }, ms);
  }

  #clear(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
