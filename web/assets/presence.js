// What presence means to people: words, colours, glyphs, durations. Pure, no DOM.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// tone names a colour of style.css, glyph a symbol of index.html.
const looks = {
  Available: { words: 'Available', tone: 'green', glyph: 'check' },
  AvailableIdle: { words: 'Available, idle', tone: 'green', glyph: 'check', hollow: true },
  Busy: { words: 'Busy', tone: 'red', glyph: 'none' },
  BusyIdle: { words: 'Busy, idle', tone: 'red', glyph: 'none', hollow: true },
  DoNotDisturb: { words: 'Do not disturb', tone: 'red', glyph: 'minus' },
  BeRightBack: { words: 'Be right back', tone: 'yellow', glyph: 'clock' },
  Away: { words: 'Away', tone: 'yellow', glyph: 'clock' },
  Offline: { words: 'Offline', tone: 'grey', glyph: 'cross', hollow: true },
  PresenceUnknown: { words: 'Status unknown', tone: 'grey', glyph: 'unknown', hollow: true },
};

const outOfOffice = { tone: 'purple', glyph: 'arrow', hollow: true };

const activities = {
  InACall: 'In a call',
  InAConferenceCall: 'In a conference call',
  InAMeeting: 'In a meeting',
  Presenting: 'Presenting',
  Focusing: 'Focusing',
  UrgentInterruptionsOnly: 'Urgent interruptions only',
  OutOfOffice: 'Out of office',
};

export const unknown = { availability: 'PresenceUnknown', activity: 'PresenceUnknown' };

/** The colour and sign of an item. Whoever is out of office and still here is shown hollow, else by the arrow. */
export function look(item) {
  const base = looks[item.availability] ?? looks.PresenceUnknown;
  if (!item.outOfOffice) return base;
  return base.tone === 'green' || base.tone === 'red' ? { ...base, hollow: true } : outOfOffice;
}

/** What somebody is doing, in a few words. */
export function words(item) {
  const base = (looks[item.availability] ?? looks.PresenceUnknown).words;
  const detail = activities[item.activity];
  if (!detail && item.outOfOffice) return item.availability === 'Offline' ? activities.OutOfOffice : `${base}, out of office`;
  if (!detail) return base;
  const idle = item.availability === 'BusyIdle' ? ', idle' : '';
  const away = item.outOfOffice && item.activity !== 'OutOfOffice' ? ', out of office' : '';
  return detail + idle + away;
}

/** What people see change from one item to the next, each part empty where it stays; undefined where nothing does. */
export function change(before, item) {
  const parts = {
    words: words(before) === words(item) ? '' : words(item),
    note: noteOf(before) === noteOf(item) ? '' : noteOf(item),
    other: [
      noteOf(before) && !noteOf(item) ? 'note cleared' : '',
      place(before.location) === place(item.location) ? '' : place(item.location) || 'location cleared',
    ].filter(Boolean).join(', '),
  };
  return parts.words || parts.note || parts.other ? parts : undefined;
}

const noteOf = (item) => item.note?.content ?? item.outOfOffice?.message ?? '';

export const availabilities = [
  { value: 'Available', activity: 'Available', label: 'Available' },
  { value: 'Busy', activity: 'Busy', label: 'Busy' },
  { value: 'DoNotDisturb', activity: 'DoNotDisturb', label: 'Do not disturb' },
  { value: 'BeRightBack', activity: 'BeRightBack', label: 'Be right back' },
  { value: 'Away', activity: 'Away', label: 'Appear away' },
  { value: 'Offline', activity: 'OffWork', label: 'Appear offline' },
];

export const locations = [
  { value: '', label: 'Not set' },
  { value: 'office', label: 'Office' },
  { value: 'remote', label: 'Remote' },
  { value: 'timeOff', label: 'Time off' },
];

/** Where somebody works, in a word; empty where nothing is said. */
export function place(location) {
  const found = locations.find((l) => l.value && l.value.toLowerCase() === location?.type.toLowerCase());
  return found?.label ?? '';
}

/** Milliseconds of a choice of duration at a moment; undefined leaves it to the node. */
export function duration(choice, now) {
  const day = new Date(now);
  switch (choice) {
    case '':
      return undefined;
    case 'today':
      return new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1).getTime() - now;
    case 'week': {
      const untilMonday = (8 - day.getDay()) % 7 || 7;
      return new Date(day.getFullYear(), day.getMonth(), day.getDate() + untilMonday).getTime() - now;
    }
    default:
      return Number(choice) * MINUTE;
  }
}

/** The ISO 8601 form that the protocol takes, to the second. */
export function isoDuration(ms) {
  return ms === undefined ? undefined : `PT${Math.max(1, Math.round(ms / 1000))}S`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

/** How long ago, in words that need no update more often than every ten seconds. */
export function ago(time, now) {
  const ms = Math.max(0, now - Date.parse(time));
  if (ms < MINUTE) return 'just now';
  if (ms < HOUR) return relative.format(-Math.floor(ms / MINUTE), 'minute');
  if (ms < DAY) return relative.format(-Math.floor(ms / HOUR), 'hour');
  return relative.format(-Math.floor(ms / DAY), 'day');
}

/** When somebody was last at a device; available people are there now, else they would have faded. */
export function lastActive(item, now) {
  if (item.availability === 'Available') return 'Active now';
  if (item.availability === 'Offline') return '';
  return item.lastActive ? `Active ${ago(item.lastActive, now)}` : '';
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const exact = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const weekday = new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

export function timeOfDay(ms) {
  return exact.format(ms);
}

/** A moment to come, as short as it can be said. */
export function until(time, now) {
  const at = Date.parse(time);
  if (at - now < 12 * HOUR) return clock.format(at);
  return (at - now < 6 * DAY ? weekday : date).format(at);
}
