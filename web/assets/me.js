// The user's own card: what others see, and the controls that change it.

import { availabilities, locations, look, unknown, until, words } from './presence.js';
import { calls, entries } from './sources.js';
import { Bubble } from './bubbles.js';
import { $, badge, h, icon, press, text } from './dom.js';

const NOTE_LIMIT = 280; // code points

const tileLook = (value) => (value === 'Offline' ? look({ availability: 'Offline' }) : look({ availability: value }));

export class Me {
  /** act has set, automatic, note, toggle, place: what the controls do. */
  constructor(person, act) {
    this.act = act;
    this.bubble = new Bubble($('you-bubble'), person);
    text($('you-name'), person.name);
    text($('you-title'), person.title);
    this.#buildTiles();
    this.#buildNow();
    this.#buildPlaces();
    this.#bindNote();
    this.paint(unknown, {}, Date.now());
  }

  #buildTiles() {
    const length = () => $('set-for').value;
    const tile = (choice) => h('button', {
      type: 'button', class: 'tile', 'data-set': choice.value, onclick: () => this.act.set(choice, length()),
    }, badge(tileLook(choice.value)), choice.label);
    const auto = h('button', {
      type: 'button', class: 'tile wide', 'data-set': 'auto', onclick: () => this.act.automatic(),
    }, icon('icon-auto'), 'Automatic');
    this.tiles = [...availabilities.map(tile), auto];
    $('set').replaceChildren(...this.tiles);
  }

  #buildNow() {
    const chip = ([kind, { label }]) => h('button', {
      type: 'button', class: 'chip', 'data-now': kind, onclick: () => this.act.toggle(kind, $('now-for').value),
    }, label);
    this.chips = Object.entries({ ...calls, ...entries }).map(chip);
    const end = h('button', { type: 'button', class: 'chip quiet', 'data-now': 'none', onclick: () => this.act.endAll() }, 'End all');
    $('now').replaceChildren(...this.chips, end);
  }

  #buildPlaces() {
    this.places = locations.map(({ value, label }) => h('button', {
      type: 'button', 'data-place': value || 'none', onclick: () => this.act.place(value),
    }, label));
    $('place').replaceChildren(...this.places);
  }

  #bindNote() {
    const field = $('note-text');
    const count = () => text($('note-left'), `${NOTE_LIMIT - [...field.value].length} left`);
    const share = () => this.act.note(field.value.trim(), $('note-for').value);
    $('note').onsubmit = (event) => {
      event.preventDefault();
      share();
    };
    $('note-clear').onclick = () => {
      field.value = '';
      count();
      this.act.note('', '');
    };
    field.oninput = count;
    field.onkeydown = (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      share();
    };
    count();
    this.countNote = count;
  }

  paint(item, running, now) {
    this.bubble.paint(item);
    text($('you-words'), words(item));
    text($('you-until'), explain(item, now));
    const set = item.forced ? chosen(item) : 'auto';
    this.tiles.forEach((tile) => press(tile, tile.dataset.set === set));
    this.chips.forEach((chip) => press(chip, chip.dataset.now in running));
    const place = item.location?.type.toLowerCase() ?? 'none';
    this.places.forEach((button) => press(button, button.dataset.place.toLowerCase() === place));
    this.#paintNote(item.note?.content ?? '');
  }

  // Another window may have set the note; what is being written here is not touched.
  #paintNote(content) {
    const field = $('note-text');
    if (content !== this.shared && document.activeElement !== field) {
      field.value = content;
      this.countNote();
    }
    this.shared = content;
  }
}

// A preferred presence is shown as it was set, but "appear offline" has the word of its activity.
function chosen(item) {
  return availabilities.find((a) => a.value === item.availability)?.value ?? 'Offline';
}

function explain(item, now) {
  const parts = [];
  if (item.forced) parts.push(item.forced.until ? `Set by you until ${until(item.forced.until, now)}` : 'Set by you');
  else parts.push('From your devices, calls and calendar');
  if (item.note?.expiry) parts.push(`note until ${until(item.note.expiry, now)}`);
  return parts.join(' · ');
}
