// The other people: one row each, kept in place and repainted.

import { isGuest } from './people.js';
import { ago, look, lastActive, place, unknown, words } from './presence.js';
import { badge, h, icon, paint, show, text } from './dom.js';

const DEVICES = { Desktop: 'icon-desktop', Web: 'icon-web', Mobile: 'icon-mobile', App: 'icon-app' };

const UNKNOWN = JSON.stringify(look(unknown)); // the first item is no change

/** A face with the sign of its presence. */
export class Bubble {
  constructor(host, person) {
    this.host = host;
    this.badge = badge(look(unknown));
    host.dataset.login = person.login;
    host.replaceChildren(h('span', { class: 'face', 'aria-hidden': 'true' }, person.initials), this.badge);
  }

  paint(item) {
    const now = look(item);
    const before = this.host.dataset.look;
    this.host.dataset.look = JSON.stringify(now);
    this.host.dataset.tone = now.tone;
    this.host.dataset.hollow = Boolean(now.hollow);
    paint(this.badge, now);
    if (before && before !== UNKNOWN && before !== this.host.dataset.look) this.#pulse();
  }

  // Removing the class is not enough: the style must be computed once without it.
  #pulse() {
    this.host.classList.remove('pulse');
    void this.host.offsetWidth;
    this.host.classList.add('pulse');
  }
}

export class Row {
  /** act.block(person, wanted) is called by the button. */
  constructor(person, viewer, act) {
    this.person = person;
    const face = h('div', { class: 'bubble' });
    this.bubble = new Bubble(face, person);
    this.status = h('p', { class: 'status' });
    this.note = h('p', { class: 'note' });
    this.meta = h('p', { class: 'meta muted small' });
    this.blocked = h('span', { class: 'tag', hidden: '' }, 'blocked');
    this.block = h('button', { type: 'button', class: 'ghost', onclick: () => act.block(person, !this.isBlocked) }, icon('icon-block'));
    this.element = h('li', { class: 'person', 'data-login': person.login },
      face,
      h('div', { class: 'who' }, this.#name(viewer), h('p', { class: 'muted small' }, person.title)),
      h('div', { class: 'what' }, this.status, this.note),
      this.meta,
      h('div', { class: 'acts' }, this.block, this.#open()));
    this.setBlocked(false);
  }

  #name(viewer) {
    const guest = isGuest(this.person, viewer) ? [h('span', { class: 'tag' }, 'external')] : [];
    return h('h3', {}, this.person.name, ...guest, this.blocked);
  }

  #open() {
    const label = `Open a window as ${this.person.name}`;
    return h('a', { class: 'ghost', href: `/?as=${this.person.login}`, target: '_blank', rel: 'noopener', 'aria-label': label, title: label },
      icon('icon-open'));
  }

  setBlocked(blocked) {
    const label = blocked ? `Unblock ${this.person.name}` : `Block ${this.person.name}: show me as offline`;
    this.isBlocked = blocked;
    this.block.setAttribute('aria-label', label);
    this.block.title = label;
    this.block.classList.toggle('on', blocked);
    show(this.blocked, blocked);
  }

  paint(item, now) {
    this.bubble.paint(item);
    text(this.status, words(item));
    text(this.note, item.note?.content ?? item.outOfOffice?.message ?? '');
    this.note.classList.toggle('reply', !item.note && Boolean(item.outOfOffice?.message));
    this.element.dataset.availability = item.availability;
    this.#paintMeta(item, now);
  }

  #paintMeta(item, now) {
    const parts = [
      item.availability !== 'Offline' && DEVICES[item.device] && [DEVICES[item.device], item.device],
      place(item.location) && ['icon-place', place(item.location)],
      lastActive(item, now) && ['', lastActive(item, now)],
    ].filter(Boolean);
    const key = JSON.stringify(parts);
    if (this.meta.dataset.key === key) return;
    this.meta.dataset.key = key;
    this.meta.replaceChildren(...parts.map(([symbol, said]) => h('span', {}, ...(symbol ? [icon(symbol)] : []), said)));
    this.meta.title = item.lastActive ? `last active ${ago(item.lastActive, now)}` : '';
  }
}
