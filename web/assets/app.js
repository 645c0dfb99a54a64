// Who this tab is: the address says it (/?as=alice), so that a link opens a window as somebody.

import { find, people } from './people.js';
import { Session } from './session.js';
import { chooser } from './view.js';

const me = find(new URL(location.href).searchParams.get('as'));
if (me) new Session(me).start();
else chooser(people);
