// The node dies, the line breaks: the pages come back by themselves and show what is true.
import type { Page, WebSocketRoute } from '@playwright/test';
import { connected, expect, test } from './windows';

// After a failed attempt a page may wait some seconds before the next one.
const RECOVERY = { timeout: 30_000 };

/** Line is the way between a page and the node, which can be cut. */
class Line {
  private cut = false;
  private readonly open = new Set<WebSocketRoute>();

  async install(page: Page): Promise<void> {
    await page.routeWebSocket(/\/v1\/stream$/, (socket) => {
      if (this.cut) {
        void socket.close({ code: 4503, reason: 'the line is cut' });
        return;
      }
      const server = socket.connectToServer();
      this.open.add(socket);
      this.open.add(server);
    });
  }

  async break(): Promise<void> {
    this.cut = true;
    const ends = [...this.open].map((socket) => socket.close({ code: 4503, reason: 'the line is cut' }));
    this.open.clear();
    await Promise.allSettled(ends); // one end may be closed by the other
  }

  mend(): void {
    this.cut = false;
  }
}

test('both pages recover from a killed node and are right', async ({ node, open }) => {
  const alice = await open('alice');
  const bob = await open('bob');
  await connected(alice, bob);
  await alice.button('Do not disturb').click();
  await expect(bob.statusOf('alice')).toHaveText('Do not disturb');
  await bob.page.getByLabel('Note').fill('still here after the crash');
  await bob.button('Share note').click();
  await expect(alice.row('bob').locator('.note')).toHaveText('still here after the crash');

  await node.kill();
  for (const { page, link } of [alice, bob]) {
    await expect(link).not.toHaveAttribute('data-phase', 'live');
    await expect(page.locator('#stale-words')).toHaveText(/^Showing what was known at \d\d:\d\d:\d\d\./);
  }
  await expect(bob.statusOf('alice'), 'what was known stays in sight').toHaveText('Do not disturb');
  await alice.button('Busy').click();
  await expect(alice.page.getByRole('alert')).toContainText('no connection');

  await node.run();
  const began = Date.now();
  for (const { page, link } of [alice, bob]) {
    await expect(link).toHaveText('Connected again, all asked anew', RECOVERY);
    await expect(page.locator('#stale')).toBeHidden();
  }
  console.log(`    node ready -> both pages connected: ${Date.now() - began} ms`);
  await expect(bob.statusOf('alice')).toHaveText('Do not disturb');
  await expect(alice.button('Do not disturb')).toHaveAttribute('aria-pressed', 'true');
  await expect(alice.row('bob').locator('.note')).toHaveText('still here after the crash');
  await bob.button('Busy').click();
  await expect(alice.statusOf('bob'), 'changes cross again').toHaveText('Busy');
});

test('what changed behind a short break of the line arrives by resuming', async ({ open }) => {
  const line = new Line();
  const alice = await open('alice');
  const bob = await open('bob', { prepare: (page) => line.install(page) });
  await connected(alice, bob);
  await line.break();
  await expect(bob.page.locator('#stale')).toBeVisible();
  await alice.button('Busy').click();
  await expect(alice.status).toHaveText('Busy');
  await expect(bob.statusOf('alice'), 'not known here yet').toHaveText('Available');
  line.mend();
  await bob.button('Try now').click();
  await expect(bob.link).toHaveText('Connected again, resumed', RECOVERY);
  await expect(bob.statusOf('alice')).toHaveText('Busy');
  await expect(bob.page.locator('#delivery')).toContainText('resumed once');
});

test('what changed on both sides of a killed node is right in the end', async ({ node, open }) => {
  const line = new Line();
  const alice = await open('alice');
  const bob = await open('bob', { prepare: (page) => line.install(page) });
  await connected(alice, bob);
  await line.break();
  await alice.button('Be right back').click();
  await expect(alice.button('Be right back')).toHaveAttribute('aria-pressed', 'true');
  await node.kill();
  await node.run();
  await expect(alice.link).toHaveText('Connected again, all asked anew', RECOVERY);
  await alice.page.getByLabel('Note').fill('new since the restart');
  await alice.button('Share note').click();
  line.mend();
  await expect(bob.link).toHaveText('Connected again, all asked anew', RECOVERY);
  await expect(bob.statusOf('alice')).toHaveText('Be right back');
  await expect(bob.row('alice').locator('.note')).toHaveText('new since the restart');
});

test('a page opened while the node is away connects when it comes', async ({ node, open }) => {
  const line = new Line();
  await line.break();
  const carol = await open('carol', { prepare: (page) => line.install(page) });
  await expect(carol.link).toHaveText('No connection yet');
  await expect(carol.page.locator('#stale'), 'there is nothing old to show').toBeHidden();
  await node.kill();
  await node.run();
  line.mend();
  await connectedAgain(carol.page);
  await expect(carol.status).toHaveText('Available');
});

test('a closed window is seen as offline after its grace', async ({ open }) => {
  const alice = await open('alice');
  const bob = await open('bob');
  await connected(alice, bob);
  await expect(bob.statusOf('alice')).toHaveText('Available');
  await alice.page.close();
  await expect(bob.statusOf('alice')).toHaveText('Offline', { timeout: 25_000 });
});

async function connectedAgain(page: Page): Promise<void> {
  await expect(page.locator('#link')).toHaveText(/^Connected/, RECOVERY);
}
