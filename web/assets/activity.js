// Whether somebody is at this device, from real input. The node lets an available session fade to idle and away; input
// stops that. After a reconnect an idle tab must not claim that its user is here.

const REPORT_EVERY = 30_000; // ms between two reports while there is input
const IDLE_AFTER = 300_000; // ms without input after which a new session begins as away

const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'];

export class Activity {
  #input = Date.now(); // opening the page is a sign of its user
  #reported = 0;

  /** Calls active() at most every half minute, after input. */
  constructor(target, active) {
    this.active = active;
    SIGNS.forEach((sign) => target.addEventListener(sign, () => this.#seen(), { passive: true, capture: true }));
    target.addEventListener('visibilitychange', () => target.visibilityState === 'visible' && this.#seen());
  }

  get idle() {
    return Date.now() - this.#input >= IDLE_AFTER;
  }

  #seen() {
    this.#input = Date.now();
    if (this.#input - this.#reported < REPORT_EVERY) return;
    this.#reported = this.#input;
    this.active();
  }
}
