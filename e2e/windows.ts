// Windows of people, and what the specs look at in them. Every window fails its test on an error in its console, which is
// where a break of the content security policy shows.
import { Browser, BrowserContextOptions, Locator, Page, test as base, expect } from '@playwright/test';
import { Node } from './node';

export class Window {
  readonly problems: string[] = [];

  constructor(readonly page: Page) {
    page.on('pageerror', (err) => this.problems.push(String(err)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !lostConnection.test(message.text())) this.problems.push(message.text());
    });
  }

  get link(): Locator {
    return this.page.locator('#link');
  }

  get status(): Locator {
    return this.page.locator('#you-words');
  }

  row(login: string): Locator {
    return this.page.locator(`.person[data-login=${login}]`);
  }

  statusOf(login: string): Locator {
    return this.row(login).locator('.status');
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }
}

// What a browser prints when the node is away; tests that kill it expect that.
const lostConnection = /WebSocket connection|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/;

type Open = (login: string, options?: BrowserContextOptions & { prepare?: (page: Page) => Promise<void> }) => Promise<Window>;

export const test = base.extend<{ open: Open; node: Node }>({
  node: async ({}, use) => {
    const node = await Node.start();
    await use(node);
    await node.stop();
  },
  open: async ({ browser, node }, use) => {
    const opened: Window[] = [];
    await use(async (login, { prepare, ...options } = {}) => {
      const window = await openWindow(browser, options);
      opened.push(window);
      await prepare?.(window.page);
      await window.page.goto(`${node.url}/${login ? `?as=${login}` : ''}`);
      return window;
    });
    for (const window of opened) {
      await window.page.context().close();
      expect(window.problems, 'errors in the console').toEqual([]);
    }
  },
});

async function openWindow(browser: Browser, options: BrowserContextOptions): Promise<Window> {
  const context = await browser.newContext({ viewport: { width: 1180, height: 800 }, ...options });
  return new Window(await context.newPage());
}

/** Both windows are connected and see each other's state: a change from here on is a change, not a snapshot. */
export async function connected(...windows: Window[]): Promise<void> {
  for (const window of windows) {
    await expect(window.link).toHaveAttribute('data-phase', 'live');
    await expect(window.page.locator('.person[data-availability=PresenceUnknown]')).toHaveCount(0);
    await expect(window.status).not.toHaveText('Status unknown');
  }
}

export { expect };
