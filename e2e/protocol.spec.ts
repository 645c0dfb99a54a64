// The page against a scripted node: what it sends, in which order, and what it makes of faults on the way.
import type { Page, WebSocketRoute } from '@playwright/test';
import { expect, test } from './windows';

const ALICE = '8:orgid:a11ce000-6c1f-4f0e-a9be-000000000001';
const BOB = '8:orgid:b0b00000-6c1f-4f0e-a9be-000000000002';

type Frame = Record<string, any>;

const version = (n: number) => `A${String(n).padStart(20, '0')}`;
const item = (user: string, n: number, availability = 'Available') => ({ user, version: version(n), availability, activity: availability });

/** Script is the node's side of the socket: it greets and answers, the test says the rest. */
class Script {
  readonly frames: Frame[] = [];
  socket!: WebSocketRoute;
  connections = 0;
  welcome: Frame = { session: 's1', resumed: false };
  refuse?: number; // close code for the next hello

  async install(page: Page): Promise<void> {
    await page.routeWebSocket(/\/v1\/stream$/, (socket) => {
      this.socket = socket;
      this.connections++;
      socket.onMessage((text) => this.receive(socket, JSON.parse(String(text))));
    });
  }

  private receive(socket: WebSocketRoute, frame: Frame): void {
    this.frames.push(frame);
    if (frame.type === 'hello' && this.refuse) {
      const code = this.refuse;
      this.refuse = undefined;
      void socket.close({ code, reason: 'scripted' });
    } else if (frame.type === 'hello') {
      this.say({ type: 'welcome', endpoint: frame.endpoint, pingMs: 25_000, ...this.welcome });
    } else if (frame.type === 'ping') {
      this.say({ type: 'pong' });
    } else if (frame.id) {
      this.say({ type: 'done', id: frame.id, version: version(1), watching: 4, refused: [] });
    }
  }

  say(frame: Frame): void {
    this.socket.send(JSON.stringify(frame));
  }

  batch(seq: number, ...items: Frame[]): void {
    this.say({ type: 'batch', seq, items });
  }

  of(type: string): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  async next(type: string, count = 1): Promise<Frame> {
    await expect.poll(() => this.of(type).length, { message: `${count} frames of type ${type}` }).toBeGreaterThanOrEqual(count);
    return this.of(type)[count - 1];
  }
}

test.describe('a scripted node', () => {
  let script: Script;
  test.beforeEach(() => {
    script = new Script();
  });
  const prepare = (page: Page) => script.install(page);
  const withClock = async (page: Page) => {
    await page.clock.install();
    await prepare(page);
  };

  test('begins with hello, its session and its list', async ({ open }) => {
    const { page, link } = await open('alice', { prepare });
    await expect(link).toHaveText('Connected');
    const hello = await script.next('hello');
    expect(hello).toMatchObject({ device: 'Web', endpoint: expect.stringMatching(/^[A-Za-z0-9._:-]{1,64}$/), token: expect.stringContaining('.') });
    expect(hello).not.toHaveProperty('session');
    expect(await script.next('publish')).toMatchObject({ source: 'client', availability: 'Available', activity: 'Available' });
    const watch = await script.next('watch');
    expect(watch).toMatchObject({ replace: true });
    expect(watch.add).toHaveLength(4);
    await page.reload();
    const again = await script.next('hello', 2);
    expect(again.endpoint, 'a reload keeps the endpoint').toBe(hello.endpoint);
    expect(again, 'but not what only memory had').not.toHaveProperty('session');
  });

  test('acknowledges one batch within a second, two at once', async ({ open }) => {
    const window = await open('alice', { prepare: withClock });
    await script.next('watch');
    await window.page.clock.pauseAt(Date.now() + 5_000); // from here on time stands still
    script.batch(1, item(BOB, 10, 'Away'));
    await expect(window.statusOf('bob')).toHaveText('Away');
    await window.page.clock.runFor(500);
    expect(script.of('ack'), 'kept back for a while').toEqual([]);
    await window.page.clock.runFor(400);
    expect(await script.next('ack')).toEqual({ type: 'ack', seq: 1 });
    script.batch(2, item(BOB, 11));
    script.batch(3, item(BOB, 12, 'Busy'));
    expect(await script.next('ack', 2), 'half the window is open').toEqual({ type: 'ack', seq: 3 });
    await expect(window.statusOf('bob')).toHaveText('Busy');
  });

  test('acknowledges without a gap, and a repeated batch again', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    script.batch(2, item(BOB, 11));
    script.batch(3, item(BOB, 12, 'Busy'));
    await expect(window.statusOf('bob')).toHaveText('Busy');
    expect(script.of('ack'), 'none while the first is missing').toEqual([]);
    script.batch(1, item(BOB, 10));
    expect(await script.next('ack')).toEqual({ type: 'ack', seq: 3 });
    script.batch(3, item(BOB, 12));
    expect(await script.next('ack', 2)).toEqual({ type: 'ack', seq: 3 });
  });

  test('never shows an older state after a newer one', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    script.batch(1, item(BOB, 20, 'Busy'));
    script.batch(2, item(BOB, 19, 'Away'), item(ALICE, 5));
    await expect(window.status).toHaveText('Available');
    await expect(window.statusOf('bob')).toHaveText('Busy');
    script.batch(2, item(BOB, 30, 'Away')); // a number that is known is not read again
    script.batch(3, item(BOB, 21, 'DoNotDisturb'));
    await expect(window.statusOf('bob')).toHaveText('Do not disturb');
  });

  test('resumes with the session and what has arrived', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    script.batch(1, item(BOB, 10), item(ALICE, 5));
    script.batch(2, item(BOB, 11, 'Busy'));
    await script.next('ack');
    script.welcome = { session: 's1', resumed: true };
    await script.socket.close({ code: 4503, reason: 'going away' });
    await expect(window.page.locator('#stale')).toBeVisible();
    await expect(window.statusOf('bob'), 'what was known stays').toHaveText('Busy');
    const hello = await script.next('hello', 2);
    expect(hello).toMatchObject({ session: 's1', ack: 2, endpoint: script.of('hello')[0].endpoint });
    await expect(window.link).toHaveText('Connected again, resumed');
    await expect(window.page.locator('#stale')).toBeHidden();
    expect(script.of('watch'), 'nothing is asked again').toHaveLength(1);
    script.batch(3, item(BOB, 12, 'Away'));
    await expect(window.statusOf('bob')).toHaveText('Away');
  });

  test('asks for everything when the session is gone', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    script.batch(1, item(BOB, 10), item(ALICE, 5));
    await script.next('ack');
    script.welcome = { session: 's2', resumed: false };
    await script.socket.close({ code: 4408 });
    await script.next('watch', 2);
    await expect(window.link).toHaveText('Connected again, all asked anew');
    script.batch(1, item(BOB, 11, 'Busy')); // numbers begin at one again
    await expect(window.statusOf('bob')).toHaveText('Busy');
    expect(await script.next('ack', 2)).toEqual({ type: 'ack', seq: 1 });
  });

  test('takes a new token after 4401', async ({ open }) => {
    script.refuse = 4401;
    let tokens = 0;
    const window = await open('alice', {
      prepare: async (page) => {
        page.on('request', (request) => (tokens += Number(request.url().includes('/dev/token'))));
        await prepare(page);
      },
    });
    await expect(window.link).toHaveText(/Connected/);
    expect(tokens).toBe(2);
  });

  test('takes another endpoint after 4409', async ({ open }) => {
    script.refuse = 4409;
    const window = await open('alice', { prepare });
    await expect(window.link).toHaveText(/Connected/);
    const [first, second] = script.of('hello').map((hello) => hello.endpoint);
    expect(second).not.toBe(first);
  });

  test('stays away after 4403', async ({ open }) => {
    script.refuse = 4403;
    const window = await open('alice', { prepare });
    await expect(window.link).toHaveText('Disconnected: this is not allowed');
    expect(script.connections).toBe(1);
  });

  test('waits as long as a node that is busy asks', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    const answered: number[] = [];
    script.socket.onMessage((text) => {
      const frame = JSON.parse(String(text));
      if (frame.type !== 'publish') return;
      answered.push(Date.now());
      if (answered.length === 1) script.say({ type: 'error', id: frame.id, code: 'publish_rate', message: 'too fast', retryAfterMs: 400 });
      else script.say({ type: 'done', id: frame.id, version: version(50) });
    });
    await window.button('Busy').click();
    await expect.poll(() => answered.length).toBe(2);
    expect(answered[1] - answered[0]).toBeGreaterThanOrEqual(390);
    await expect(window.page.locator('#trouble')).toBeHidden();
  });

  test('comes back when a node that goes away asks it to', async ({ open }) => {
    const { link } = await open('alice', { prepare });
    await script.next('watch');
    const told = Date.now();
    script.say({ type: 'notice', code: 'going_away', afterMs: 0, url: 'http://elsewhere.invalid', delayMs: 1800 });
    await script.socket.close({ code: 4503, reason: 'going_away' });
    await script.next('hello', 2);
    expect(Date.now() - told).toBeGreaterThanOrEqual(1790); // the first wait of its own is at most 1 s
    await expect(link).toHaveText('Connected again, all asked anew');
  });

  test('says what the node refuses', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    script.socket.onMessage((text) => {
      const { id } = JSON.parse(String(text));
      script.say({ type: 'error', id, code: 'bad_note', message: 'the note has a control character' });
    });
    await window.page.getByLabel('Note').fill('x');
    await window.button('Share note').click();
    await expect(window.page.getByRole('alert')).toHaveText('The note has a control character.');
  });

  test('ignores frames of a kind it does not know', async ({ open }) => {
    const window = await open('alice', { prepare });
    await script.next('watch');
    script.say({ type: 'fromTheFuture', seq: 9 });
    script.batch(1, { ...item(BOB, 10), mood: 'curious' }, item('8:orgid:11111111-1111-4111-8111-111111111111', 3), item(ALICE, 5));
    await expect(window.statusOf('bob')).toHaveText('Available');
  });

  test('renews its token before the end, and pings', async ({ open }) => {
    const { page, link } = await open('alice', { prepare: withClock });
    await expect(link).toHaveText('Connected');
    const { token } = await script.next('hello');
    await page.clock.runFor(26_000);
    await script.next('ping');
    await page.clock.fastForward(50 * 60_000);
    expect((await script.next('token')).token).not.toBe(token);
  });

  test('gives up on a node that does not answer', async ({ open }) => {
    const window = await open('alice', { prepare: withClock });
    await expect(window.link).toHaveText('Connected');
    await script.next('watch');
    script.socket.onMessage(() => {}); // deaf from here on
    await window.page.clock.runFor(36_000);
    await expect.poll(() => script.connections).toBe(2);
  });

  test('does not claim that an idle user is here after a restart', async ({ open }) => {
    const { page, link } = await open('alice', { prepare: withClock });
    await expect(link).toHaveText('Connected');
    await script.next('publish');
    await page.clock.fastForward(6 * 60_000);
    await script.next('ping');
    script.welcome = { session: 's2', resumed: false };
    await script.socket.close({ code: 4503 });
    await page.clock.runFor(1_000);
    expect(await script.next('publish', 2)).toMatchObject({ source: 'client', availability: 'Away', activity: 'Away' });
    await page.keyboard.press('Tab');
    expect(await script.next('publish', 3)).toMatchObject({ source: 'client', availability: 'Available', activity: 'Available' });
  });

  test('reports activity from input, twice a minute at most', async ({ open }) => {
    const { page, link } = await open('alice', { prepare: withClock });
    await expect(link).toHaveText('Connected');
    for (let i = 0; i < 10; i++) await page.mouse.move(i * 10, 50);
    await script.next('activity');
    expect(script.of('activity')).toEqual([{ type: 'activity', active: true }]);
    await page.clock.runFor(31_000);
    expect(script.of('activity'), 'nothing without input').toHaveLength(1);
    await page.keyboard.press('Tab');
    await script.next('activity', 2);
  });
});

test('the store of the browser may hold rubbish', async ({ open }) => {
  const script = new Script();
  const window = await open('alice', {
    prepare: async (page) => {
      await page.addInitScript(() => localStorage.setItem('rollcall.sources.alice', '{"call":null,"meeting":7,"focus'));
      await script.install(page);
    },
  });
  await script.next('watch');
  await expect(window.button('Call')).toHaveAttribute('aria-pressed', 'false');
});

test('the receiver takes each version once and only upwards', async ({ open }) => {
  const { page } = await open('');
  const taken = await page.evaluate(async () => {
    const { Receiver } = await import('/assets/protocol.js' as string);
    const receiver = new Receiver();
    const newer = [5, 5, 4, 6, 6].map((n) => receiver.newer({ user: 'a', version: `A${n}` }));
    const other = receiver.newer({ user: 'b', version: 'A1' });
    const batches = [1, 3, 3, 2, 1, 5].map((seq) => [receiver.batch(seq), receiver.seq]);
    receiver.restart();
    return { newer, other, batches, restarted: [receiver.seq, receiver.batch(1), receiver.newer({ user: 'a', version: 'A6' })] };
  });
  expect(taken).toEqual({
    newer: [true, false, false, true, false],
    other: true,
    batches: [[true, 1], [true, 1], [false, 1], [true, 3], [false, 3], [true, 3]],
    restarted: [0, true, false],
  });
});

test('the wait between attempts is full jitter up to 1, 2, 4 .. 30 s', async ({ open }) => {
  const { page } = await open('');
  const waits = await page.evaluate(async () => {
    const { backoff } = await import('/assets/protocol.js' as string);
    return [1, 2, 3, 4, 5, 6, 7, 1000].map((attempt) => [backoff(attempt, () => 0), backoff(attempt, () => 1)]);
  });
  expect(waits).toEqual([[0, 1000], [0, 2000], [0, 4000], [0, 8000], [0, 16000], [0, 30000], [0, 30000], [0, 30000]]);
});
