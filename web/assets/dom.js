// Small steps on elements. Text goes in as text only: nothing here reads markup.

const SVG = 'http://www.w3.org/2000/svg';

export const $ = (id) => document.getElementById(id);

/** Makes an element; attributes that are false or undefined are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element[name] = value;
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A symbol of index.html, for the eye only. */
export function icon(symbol, className = 'icon') {
  const root = document.createElementNS(SVG, 'svg');
  root.setAttribute('class', className);
  root.setAttribute('aria-hidden', 'true');
  root.append(use(symbol));
  return root;
}

/** The sign of a presence: a disc or a ring, and a mark on it. */
export function badge(look) {
  const root = document.createElementNS(SVG, 'svg');
  root.setAttribute('class', 'badge');
  root.setAttribute('viewBox', '0 0 16 16');
  root.setAttribute('aria-hidden', 'true');
  const disc = document.createElementNS(SVG, 'circle');
  for (const [name, value] of Object.entries({ class: 'disc', cx: 8, cy: 8, r: 7 })) disc.setAttribute(name, value);
  root.append(disc, use('glyph-none'));
  paint(root, look);
  return root;
}

export function paint(root, { tone, glyph, hollow = false }) {
  root.dataset.tone = tone;
  root.dataset.hollow = hollow;
  root.lastChild.setAttribute('href', `#glyph-${glyph}`);
}

function use(symbol) {
  const element = document.createElementNS(SVG, 'use');
  element.setAttribute('href', `#${symbol}`);
  return element;
}

/** Sets a text where it differs, so that a live region speaks of changes only. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export function press(button, pressed) {
  button.setAttribute('aria-pressed', String(pressed));
}
