// One person's tab: the connection and the controls on one side, the view on the other.

import { address, find, others, people } from './people.js';
import { change, duration, isoDuration, unknown } from './presence.js';
import { Refused, Stream } from './protocol.js';
import { Sources, calls } from './sources.js';
import { Activity } from './activity.js';
import { Latency, clock } from './latency.js';
import { View } from './view.js';

const PATIENCE = 5; // attempts of a publish that comes too soon

export class Session {
  #items = new Map(); // login -> the newest item
  #link = { phase: 'idle' };
  #resumed = 0;
  #turn = Promise.resolve();
  #away = false; // the device's session was published as away

  constructor(person) {
    this.person = person;
    this.byAddress = new Map(people.map((p) => [address(p, person), p]));
    this.view = new View(person, this.#controls());
    this.latency = new Latency((measured) => this.#measured(measured));
    this.stream = this.#newStream();
    this.sources = new Sources(person.login, localStorage, (source) => this.#publish(source));
    this.activity = new Activity(document, () => this.#active());
    addEventListener('online', () => this.stream.retryNow());
    addEventListener('storage', () => this.#paint());
  }

  start() {
    this.#paint();
    this.stream.start();
    setInterval(() => this.#paint(), 1000);
  }

  #newStream() {
    return new Stream({
      url: `${location.protocol.replace('http', 'ws')}//${location.host}/v1/stream`,
      endpoint: endpointId(),
      device: 'Web',
      token: () => fetchToken(this.person.login),
      on: {
        state: (state) => this.#state(state),
        welcome: (frame) => this.#attempt(() => this.#welcome(frame)),
        batch: (items) => this.#arrived(items),
        acknowledged: (seq) => this.view.paintDelivery({ seq, resumed: this.#resumed }),
        refused: (err) => this.#refused(err),
      },
    });
  }

  // The connection.

  #state({ phase, ...detail }) {
    const { lostAt, again } = this.#link;
    const first = this.#link.phase === 'live' && phase !== 'live';
    this.#link = { ...detail, phase, lostAt: first ? Date.now() : lostAt, again: again || first };
    if (phase === 'live') this.#link.lostAt = undefined;
    if (phase === 'stopped' && detail.code === 4409) this.#moveOver();
    this.#paint();
  }

  // A duplicated tab has this one's endpoint id: the newer connection keeps it, this one takes another.
  #moveOver() {
    sessionStorage.removeItem('rollcall.endpoint');
    this.stream = this.#newStream();
    this.stream.start();
  }

  async #welcome({ resumed }) {
    if (resumed) {
      this.#resumed++;
      // The device's session may have ended while the connection was gone.
      if (this.activity.idle) await this.#publishDevice();
      else this.stream.active();
      return;
    }
    const add = people.map((p) => address(p, this.person));
    await Promise.all([this.stream.watch({ add, replace: true }), this.#publishDevice(), this.#readBlocks()]);
  }

  #publishDevice() {
    this.#away = this.activity.idle;
    const state = this.#away ? 'Away' : 'Available';
    return this.#publish({ source: 'client', availability: state, activity: state });
  }

  #active() {
    if (this.stream.phase !== 'live') return;
    if (this.#away) this.#attempt(() => this.#publishDevice());
    else this.stream.active();
  }

  #refused(err) {
    if (err.code === 'no_session') this.#attempt(() => this.#publishDevice());
    else this.view.trouble(said(err));
  }

  // What arrives.

  #arrived(items) {
    const at = clock(); // before anything is drawn
    for (const item of items) {
      const person = this.byAddress.get(item.user);
      if (!person) continue;
      const forced = person === this.person ? this.#items.get(person.login)?.forced : undefined;
      this.#take(person, forced ? { ...item, forced } : item);
      this.latency.arrived(item.version, at);
      if (person === this.person) this.#readOwn().catch(() => {}); // the public part is shown already
    }
    this.#paint();
  }

  // Others are not told until when something was set, so batches do not say it: the owner asks.
  async #readOwn() {
    const { items } = await this.#get(`/v1/presence?user=${encodeURIComponent(address(this.person, this.person))}`);
    if (items[0]) this.#take(this.person, items[0]);
    this.#paint();
  }

  #take(person, item) {
    const before = this.#items.get(person.login);
    if (before && item.version < before.version) return;
    this.#items.set(person.login, item);
    const changed = before && change(before, item);
    if (changed) this.view.tell(person, item, changed, Date.now());
  }

  #measured(measured) {
    const login = [...this.#items].find(([, item]) => item.version === measured.version)?.[0];
    if (measured.own || login) this.view.paintLatency({ ...measured, name: find(login)?.given });
  }

  // What the controls do.

  #controls() {
    const attempt = (run) => (...args) => this.#attempt(() => run(...args));
    return {
      set: attempt((choice, length) => this.#publish({
        source: 'preferred', availability: choice.value, activity: choice.activity,
        duration: isoDuration(duration(length, Date.now())),
      })),
      automatic: attempt(() => this.#publish({ source: 'preferred', clear: true })),
      note: attempt((note, length) => this.#publish(note === ''
        ? { source: 'note', clear: true }
        : { source: 'note', note, duration: isoDuration(duration(length, Date.now())) })),
      toggle: attempt((kind, length) => this.#toggle(kind, duration(length, Date.now()))),
      endAll: attempt(() => this.sources.clear()),
      place: attempt((value) => this.#publish({
        source: 'location', key: 'manual', ...(value ? { locationType: value } : { clear: true }),
      })),
      block: attempt((person, wanted) => this.#block(person, wanted)),
      retry: () => (this.stream.phase === 'stopped' ? location.reload() : this.stream.retryNow()),
      leave: () => this.#leave(),
    };
  }

  // One after the other: what was set last is sent last.
  #publish(source) {
    const turn = this.#turn.then(() => this.#publishPatiently(source));
    this.#turn = turn.catch(() => {}); // whoever asked for it is told, the next one goes on
    return turn;
  }

  // Quick clicks may exceed the node's rate for one device; it says when to come again.
  async #publishPatiently(source) {
    for (let tries = 1; ; tries++) {
      try {
        const done = await this.latency.during(() => this.stream.publish(source));
        this.#readOwn().catch(() => {}); // the change is made; how long it holds is shown with the next one
        return done;
      } catch (err) {
        if (err.code !== 'publish_rate' || tries === PATIENCE) throw err;
        await new Promise((resolve) => setTimeout(resolve, err.retryAfterMs ?? 1000));
      }
    }
  }

  async #toggle(kind, ms) {
    const now = Date.now();
    if (kind in calls) await this.sources.toggleCall(kind, ms, now);
    else await this.sources.toggleEntry(kind, ms, now);
    this.#paint();
  }

  async #block(person, wanted) {
    const path = `/v1/me/blocks/${encodeURIComponent(address(person, this.person))}`;
    await this.#request(path, { method: wanted ? 'PUT' : 'DELETE' });
    await this.#readBlocks();
  }

  async #readBlocks() {
    const { users } = await this.#get('/v1/me/blocks');
    this.view.setBlocked((person) => users.includes(address(person, this.person)));
  }

  async #leave() {
    await this.stream.leave();
    sessionStorage.removeItem('rollcall.endpoint');
    location.assign('/');
  }

  // A refusal is shown, anything else is a fault of the page and goes to the console too.
  async #attempt(run) {
    try {
      await run();
    } catch (err) {
      if (!(err instanceof Refused)) console.error(err);
      this.view.trouble(said(err));
    }
  }

  async #get(path) {
    return (await this.#request(path)).json();
  }

  async #request(path, options = {}) {
    const answer = await fetch(path, { ...options, headers: { Authorization: `Bearer ${this.stream.token}` } });
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({}));
    throw new Refused(error ?? { code: String(answer.status), message: `the node answered ${answer.status}` });
  }

  #paint() {
    const now = Date.now();
    const item = (person) => this.#items.get(person.login) ?? { ...unknown };
    this.view.paintLink(this.#link, now);
    this.view.paintMe(item(this.person), this.sources?.running(now) ?? {}, now);
    others(this.person).forEach((person) => this.view.paintRow(person, item(person), now));
    this.view.paintSum(others(this.person).map(item));
  }
}

// One endpoint per tab, kept over reloads.
function endpointId() {
  const kept = sessionStorage.getItem('rollcall.endpoint');
  const id = kept ?? `tab-${crypto.randomUUID()}`;
  sessionStorage.setItem('rollcall.endpoint', id);
  return id;
}

async function fetchToken(login) {
  const answer = await fetch(`/dev/token?user=${login}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`no token: the node answered ${answer.status}`);
  const { access_token: value, expires_in: seconds } = await answer.json();
  return { value, life: seconds * 1000 };
}

function said({ message, retryAfterMs }) {
  const again = retryAfterMs ? ` Try again in ${Math.ceil(retryAfterMs / 1000)} s.` : '';
  return `${message[0].toUpperCase()}${message.slice(1)}.${again}`;
}
