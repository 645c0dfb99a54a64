// What people see, in light, dark and narrow, and what a screen reader gets of it. Screenshots stay in test-results under
// fixed names; PICTURE=<file> also writes the README's picture.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { stat } from 'node:fs/promises';
import { connected, expect, test, Window } from './windows';

const MOST_BYTES = 200 * 1024; // of the README's picture

async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((v) => `${v.impact}: ${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`);
  expect(found).toEqual([]);
}

async function settled(page: Page): Promise<void> {
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getTiming().iterations === 1).map((a) => a.finished)));
}

async function shoot(page: Page, name: string, fullPage = false): Promise<void> {
  await settled(page);
  await page.screenshot({ path: `test-results/${name}.png`, fullPage });
}

/** An ordinary morning: Bob in a call, Carol away for a moment, Dave out of office. */
async function morning(open: (login: string) => Promise<Window>): Promise<void> {
  const [bob, carol, dave] = [await open('bob'), await open('carol'), await open('dave')];
  await connected(bob, carol, dave);
  await bob.page.getByLabel('Note').fill('On the line with a customer, please text');
  await bob.button('Share note').click();
  await bob.button('Remote').click();
  await carol.button('Office').click();
  await dave.button('Out of office').click();
  await dave.button('Appear offline').click();
  await carol.button('Be right back').click();
  await bob.button('Call').click();
}

async function seesMorning(alice: Window): Promise<void> {
  await expect(alice.statusOf('bob')).toHaveText('In a call');
  await expect(alice.row('bob').locator('.note')).toHaveText('On the line with a customer, please text');
  await expect(alice.row('bob').locator('.meta')).toContainText('Remote');
  await expect(alice.row('carol').locator('.meta')).toContainText('Office');
  await expect(alice.statusOf('carol')).toHaveText('Be right back');
  await expect(alice.statusOf('dave')).toHaveText('Out of office');
}

test('light, dark, narrow and lost, each without an accessibility violation', async ({ node, open }) => {
  test.slow();
  const alice = await open('alice');
  await connected(alice);
  await morning(open);
  await seesMorning(alice);
  await alice.page.getByLabel('Note').fill('Rehearsing the launch demo, back after lunch');
  await alice.button('Share note').click();
  await expect(alice.page.locator('#you-words')).toHaveText('Available');
  await shoot(alice.page, 'page-light');
  await accessible(alice.page);

  await alice.page.emulateMedia({ colorScheme: 'dark' });
  await shoot(alice.page, 'page-dark');
  await accessible(alice.page);

  await alice.page.emulateMedia({ colorScheme: 'light' });
  await alice.page.setViewportSize({ width: 360, height: 780 });
  await shoot(alice.page, 'page-narrow', true);
  await accessible(alice.page);
  expect(await alice.page.evaluate(() => document.documentElement.scrollWidth), 'nothing is wider than 360 px').toBe(360);

  await alice.page.setViewportSize({ width: 1180, height: 800 });
  await node.kill();
  await expect(alice.page.locator('#stale')).toBeVisible();
  await alice.button('Busy').click();
  await expect(alice.page.getByRole('alert')).toBeVisible();
  await shoot(alice.page, 'page-lost');
  await accessible(alice.page);
  await alice.page.emulateMedia({ colorScheme: 'dark' });
  await accessible(alice.page);
});

test('the choice of a person', async ({ open }) => {
  const { page } = await open('');
  await expect(page.getByRole('link', { name: /Alice Archer/ })).toHaveAttribute('href', '/?as=alice');
  await shoot(page, 'choose-light');
  await accessible(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await shoot(page, 'choose-dark');
  await accessible(page);
});

test('every glyph', async ({ open }) => {
  const { page } = await open('');
  const count = await page.evaluate(async () => {
    const { look, words } = await import('/assets/presence.js' as string);
    const { badge, h } = await import('/assets/dom.js' as string);
    const items = ['Available', 'AvailableIdle', 'Busy', 'BusyIdle', 'DoNotDisturb', 'BeRightBack', 'Away', 'Offline', 'PresenceUnknown', 'Odd']
      .flatMap((availability) => [{ availability }, { availability, activity: 'OutOfOffice', outOfOffice: {} }]);
    const tile = (item: unknown) => h('div', { class: 'tile' }, badge(look(item)), words(item));
    document.querySelector('main')!.replaceChildren(h('div', { class: 'tiles' }, ...items.map(tile)));
    return new Set(items.map(look).map(({ tone, glyph, hollow = false }) => `${tone} ${glyph} ${hollow}`)).size;
  });
  expect(count, 'different looks').toBe(10);
  await shoot(page, 'glyphs');
});

test('reduced motion has no motion', async ({ open }) => {
  const { page, link } = await open('alice', { reducedMotion: 'reduce' });
  await expect(link).toHaveAttribute('data-phase', 'live');
  const moving = await page.evaluate(() => [...document.querySelectorAll('*')].filter((element) => {
    const { animationName, transitionProperty } = getComputedStyle(element);
    return animationName !== 'none' || transitionProperty !== 'none';
  }).length);
  expect(moving).toBe(0);
});

test('the picture of the README', async ({ open }) => {
  const alice = await open('alice', { viewport: { width: 1140, height: 806 } });
  await connected(alice);
  await morning(open);
  await seesMorning(alice);
  await alice.page.getByLabel('Note').fill('Rehearsing the launch demo, back after lunch');
  await alice.button('Share note').click();
  await alice.page.getByLabel('for').first().selectOption('2 hours');
  await alice.button('Do not disturb').click();
  await expect(alice.page.locator('#latency')).toHaveText(/^Your last change/);
  await expect(alice.page.locator('#you-until')).toContainText('Set by you until');
  await alice.page.locator('#people-label').click(); // the focus leaves the controls
  await settled(alice.page);
  for (const path of ['test-results/picture.png', process.env.PICTURE].filter((p): p is string => Boolean(p))) {
    await alice.page.screenshot({ path });
    expect((await stat(path)).size).toBeLessThan(MOST_BYTES);
  }
});
