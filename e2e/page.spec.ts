// Two windows, two people: what one sets, the other sees.
import { Window, connected, expect, test } from './windows';

test.describe('two people', () => {
  let alice: Window;
  let bob: Window;

  test.beforeEach(async ({ open }) => {
    alice = await open('alice');
    bob = await open('bob');
    await connected(alice, bob);
  });

  test('a change is in the other window at once', async () => {
    await expect(bob.statusOf('alice')).toHaveText('Available');
    for (const [value, words] of [['Busy', 'Busy'], ['DoNotDisturb', 'Do not disturb']]) {
      const took = await crossing(alice, bob, value);
      await expect(bob.statusOf('alice')).toHaveText(words);
      console.log(`    click in alice's window -> drawn in bob's: ${took.toFixed(1)} ms`);
      expect(took).toBeLessThan(1000);
    }
    await expect(bob.row('alice').locator('.bubble')).toHaveAttribute('data-tone', 'red');
    await expect(alice.button('Do not disturb')).toHaveAttribute('aria-pressed', 'true');
    await expect(alice.page.locator('#latency')).toHaveText(/Your last change was back here [\d.]+ m?s after it was set/);
    await expect(bob.page.locator('#changes li').first()).toContainText('Alice Archer Do not disturb');
  });

  test('every availability has its words and colour, and automatic takes it back', async () => {
    for (const [name, words, tone] of [
      ['Do not disturb', 'Do not disturb', 'red'],
      ['Be right back', 'Be right back', 'yellow'],
      ['Appear away', 'Away', 'yellow'],
      ['Appear offline', 'Offline', 'grey'],
      ['Available', 'Available', 'green'],
    ]) {
      await alice.button(name).click();
      await expect(bob.statusOf('alice')).toHaveText(words);
      await expect(bob.row('alice').locator('.bubble')).toHaveAttribute('data-tone', tone);
      await expect(alice.button(name)).toHaveAttribute('aria-pressed', 'true');
    }
    await alice.button('Automatic').click();
    await expect(alice.button('Automatic')).toHaveAttribute('aria-pressed', 'true');
    await expect(bob.statusOf('alice')).toHaveText('Available');
  });

  test('a duration is kept and shown to its owner', async () => {
    await alice.page.getByLabel('for').first().selectOption('2 hours');
    await alice.button('Busy').click();
    const end = new Date(Date.now() + 2 * 3_600_000);
    const near = [0, 1, -1].map((m) => new Date(end.getTime() + m * 60_000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }));
    await expect(alice.page.locator('#you-until')).toHaveText(new RegExp(`Set by you until .*(${near.join('|')})`));
  });

  test('a note crosses and is cleared', async () => {
    const words = 'Back at three, <b>text</b> me & "call" later';
    await alice.page.getByLabel('Note').fill(words);
    await alice.page.getByLabel('keep').selectOption('30 minutes');
    await alice.button('Share note').click();
    await expect(bob.row('alice').locator('.note')).toHaveText(words);
    await expect(alice.page.locator('#you-until')).toContainText('note until');
    await alice.button('Clear').click();
    await expect(bob.row('alice').locator('.note')).toBeEmpty();
    await expect(alice.page.getByLabel('Note')).toHaveValue('');
  });

  test('calls, calendar and place show what follows from them', async () => {
    for (const [name, words] of [
      ['Call', 'In a call'],
      ['Group call', 'In a conference call'],
      ['Presenting', 'Presenting'],
    ]) {
      await alice.button(name).click();
      await expect(bob.statusOf('alice')).toHaveText(words);
      await expect(alice.button(name)).toHaveAttribute('aria-pressed', 'true');
    }
    await alice.button('Presenting').click();
    await expect(bob.statusOf('alice')).toHaveText('Available');
    await alice.button('Meeting').click();
    await expect(bob.statusOf('alice')).toHaveText('In a meeting');
    await alice.button('Focus time').click();
    await expect(bob.statusOf('alice')).toHaveText('Focusing');
    await alice.button('End all').click();
    await alice.button('Out of office').click();
    await expect(bob.statusOf('alice')).toHaveText('Out of office');
    await expect(bob.row('alice').locator('.bubble')).toHaveAttribute('data-hollow', 'true');
    await alice.button('Remote').click();
    await expect(bob.row('alice').locator('.meta')).toContainText('Remote');
    await expect(alice.button('Remote')).toHaveAttribute('aria-pressed', 'true');
  });

  test('who is blocked sees offline, until unblocked', async () => {
    await alice.row('bob').getByRole('button', { name: 'Block Bob Baker' }).click();
    await expect(bob.statusOf('alice')).toHaveText('Offline');
    await expect(alice.row('bob').getByText('blocked')).toBeVisible();
    await alice.row('bob').getByRole('button', { name: 'Unblock Bob Baker' }).click();
    await expect(bob.statusOf('alice')).toHaveText('Available');
    await expect(alice.row('bob').getByText('blocked')).toBeHidden();
  });

  test('somebody of another organisation sees and is seen', async ({ open }) => {
    const dave = await open('dave');
    await connected(dave);
    await expect(alice.statusOf('dave')).toHaveText('Available');
    await expect(alice.row('dave')).toContainText('external');
    await alice.button('Busy').click();
    await expect(dave.statusOf('alice')).toHaveText('Busy');
  });

  test('two windows of one person are one person', async ({ open }) => {
    const second = await open('alice');
    await connected(second);
    await second.button('Do not disturb').click();
    await expect(alice.status).toHaveText('Do not disturb');
    await expect(alice.button('Do not disturb')).toHaveAttribute('aria-pressed', 'true');
    await second.button('Sign out').click();
    await expect(second.page).toHaveURL(/\/$/);
    await expect(alice.status).toHaveText('Do not disturb');
  });

  test('signing out of the only window is seen as offline', async ({ open }) => {
    const carol = await open('carol');
    await connected(carol);
    await expect(bob.statusOf('carol')).toHaveText('Available');
    await carol.button('Sign out').click();
    await expect(bob.statusOf('carol')).toHaveText('Offline');
    await expect(carol.page.getByRole('heading', { name: 'Who are you today?' })).toBeVisible();
  });
});

/** Milliseconds from the click until the text has changed in the other window; both read the machine's clock. */
async function crossing(from: Window, to: Window, value: string): Promise<number> {
  await to.page.evaluate(() => {
    const status = document.querySelector('.person[data-login=alice] .status')!;
    const seen = new Promise<number>((resolve) => {
      new MutationObserver(() => resolve(performance.timeOrigin + performance.now()))
        .observe(status, { childList: true, characterData: true, subtree: true });
    });
    Object.assign(window, { seen });
  });
  const clicked = await from.page.evaluate((set) => {
    const now = performance.timeOrigin + performance.now();
    document.querySelector<HTMLButtonElement>(`[data-set=${set}]`)!.click();
    return now;
  }, value);
  const drawn = await to.page.evaluate(() => (window as unknown as { seen: Promise<number> }).seen);
  return drawn - clicked;
}

test('the keyboard alone is enough', async ({ open }) => {
  const bob = await open('bob');
  await connected(bob);
  const alice = await open('');
  const { keyboard } = alice.page;
  const focus = () => alice.page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.id);
  const tabTo = async (name: string) => {
    for (let i = 0; i < 40; i++) {
      await keyboard.press('Tab');
      if ((await focus()) === name) return;
    }
    throw new Error(`${name} cannot be reached with the tab key`);
  };
  await keyboard.press('Tab');
  await keyboard.press('Enter'); // the first of the four people
  await connected(alice);
  await tabTo('Do not disturb');
  const ring = await alice.page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle);
  expect(ring, 'the focus is seen').toBe('solid');
  await keyboard.press('Space');
  await expect(bob.statusOf('alice')).toHaveText('Do not disturb');
  await tabTo('note-text');
  await keyboard.type('by keyboard');
  await keyboard.press('Enter');
  await expect(bob.row('alice').locator('.note')).toHaveText('by keyboard');
  await keyboard.press('Shift+Tab');
  await keyboard.press('Shift+Tab');
  expect(await focus()).toBe('Automatic');
  await keyboard.press('Enter');
  await expect(bob.statusOf('alice')).toHaveText('Available');
});

test('two tabs of one browser tell how long a change took', async ({ open, node }) => {
  const alice = await open('alice');
  const bob = new Window(await alice.page.context().newPage());
  await bob.page.goto(`${node.url}/?as=bob`);
  await connected(alice, bob);
  await expect(bob.statusOf('alice')).toHaveText('Available');
  await alice.button('Do not disturb').click();
  await expect(bob.page.locator('#latency')).toHaveText(/^Alice's last change arrived [\d.]+ m?s after it was set$/);
  await expect(bob.page.locator('#changes li').first().locator('.took')).toHaveText(/^[\d.]+ m?s$/);
  expect(bob.problems).toEqual([]);
});

test('the directory of the page is that of the tokens', async ({ node, open }) => {
  const { page } = await open('');
  const people = await page.evaluate(async () => (await import('/assets/people.js' as string)).people);
  expect(people).toHaveLength(4);
  for (const { login, id, tenant, name } of people) {
    const answer = await fetch(`${node.url}/dev/token?user=${login}`, { method: 'POST' });
    const { access_token: token } = (await answer.json()) as { access_token: string };
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
    expect({ id: claims.oid, tenant: claims.tid, name: claims.name }).toEqual({ id, tenant, name });
  }
});
