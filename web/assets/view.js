// The frame of the page: the connection, the list of changes, what went wrong. Rows and the own card are built here and
// painted by their modules.

import { others } from './people.js';
import { look, timeOfDay } from './presence.js';
import { Row } from './bubbles.js';
import { Me } from './me.js';
import { $, badge, h, show, text } from './dom.js';
import { spell } from './latency.js';

const KEPT_CHANGES = 40;
const TROUBLE_TIME = 8_000; // ms

/** The choice of a person: links, so that each can be opened in a window of its own. */
export function chooser(people) {
  const face = ({ login, initials, name, title }) => h('li', {},
    h('a', { class: 'face-card', href: `/?as=${login}` },
      h('span', { class: 'bubble large', 'data-login': login, 'data-tone': 'none', 'aria-hidden': 'true' }, h('span', { class: 'face' }, initials)),
      h('strong', {}, name), h('span', { class: 'muted small' }, title)));
  $('faces').replaceChildren(...people.map(face));
  show($('choose'), true);
}

export class View {
  constructor(person, act) {
    this.person = person;
    this.me = new Me(person, act);
    this.rows = new Map(others(person).map((p) => [p.login, new Row(p, person, act)]));
    $('people').replaceChildren(...[...this.rows.values()].map((row) => row.element));
    $('leave').onclick = act.leave;
    $('retry').onclick = act.retry;
    text($('session-name'), person.name);
    document.title = `${person.name} · Rollcall`;
    show($('session'), true);
    show($('board'), true);
  }

  paintMe(item, running, now) {
    this.me.paint(item, running, now);
  }

  paintRow(person, item, now) {
    this.rows.get(person.login).paint(item, now);
  }

  paintSum(items) {
    const count = (match) => items.filter(match).length;
    const here = count((i) => i.availability.startsWith('Available'));
    const busy = count((i) => /^(Busy|DoNotDisturb)/.test(i.availability));
    text($('people-sum'), `${here} available · ${busy} busy · ${items.length - here - busy} away`);
  }

  setBlocked(isBlocked) {
    this.rows.forEach((row) => row.setBlocked(isBlocked(row.person)));
  }

  /** Adds to the list of changes, which a screen reader speaks. */
  tell(person, item, changed, now) {
    const parts = [changed.words, changed.note && h('q', {}, changed.note), changed.other].filter(Boolean);
    const said = parts.flatMap((part, i) => [i > 0 ? ' \u00b7 ' : ' ', part]);
    const line = h('li', { 'data-version': item.version },
      h('time', {}, timeOfDay(now)), badge(look(item)),
      h('p', {}, h('strong', {}, person.name), ...said),
      h('span', { class: 'took muted small', 'aria-hidden': 'true' }));
    $('changes').prepend(line);
    while ($('changes').children.length > KEPT_CHANGES) $('changes').lastChild.remove();
    show($('changes-none'), false);
  }

  /** The connection in words; the countdown is outside the live region, so it is not spoken every second. */
  paintLink(link, now) {
    $('link').dataset.phase = link.phase;
    text($('link-words'), linkWords(link));
    const stale = link.phase !== 'live' && link.lostAt !== undefined;
    $('board').dataset.stale = stale;
    show($('stale'), stale);
    show($('retry'), link.phase === 'waiting' || link.phase === 'stopped');
    if (stale) text($('stale-words'), staleWords(link, now));
  }

  paintLatency({ version, ms, own, name }) {
    const line = $('changes').querySelector(`[data-version="${version}"] .took`);
    if (line) text(line, spell(ms));
    const whose = own ? 'Your last change was back here' : `${name}'s last change arrived`;
    text($('latency'), `${whose} ${spell(ms)} after it was set`);
  }

  paintDelivery({ seq, resumed }) {
    const again = resumed > 0 ? ` · resumed ${resumed === 1 ? 'once' : `${resumed} times`}` : '';
    text($('delivery'), `${seq} ${seq === 1 ? 'batch' : 'batches'} acknowledged${again}`);
  }

  trouble(message) {
    clearTimeout(this.troubleTimer);
    text($('trouble'), message);
    show($('trouble'), true);
    this.troubleTimer = setTimeout(() => show($('trouble'), false), TROUBLE_TIME);
  }
}

function linkWords({ phase, why, lostAt, resumed, again }) {
  switch (phase) {
    case 'live':
      if (!again) return 'Connected';
      return resumed ? 'Connected again, resumed' : 'Connected again, all asked anew';
    case 'stopped':
      return `Disconnected: ${why}`;
    case 'waiting':
      return lostAt === undefined ? 'No connection yet' : 'Connection lost';
    default:
      return lostAt === undefined ? 'Connecting' : 'Reconnecting';
  }
}

function staleWords({ phase, lostAt, retryAt, why }, now) {
  const old = `Showing what was known at ${timeOfDay(lostAt)}.`;
  if (phase === 'waiting') return `${old} Next try in ${Math.max(1, Math.ceil((retryAt - now) / 1000))} s.`;
  return phase === 'stopped' ? `${old} Not connected: ${why}.` : `${old} Trying now.`;
}
