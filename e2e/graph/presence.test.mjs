// Reads and writes presence through npm @microsoft/microsoft-graph-client, unmodified, against a running node.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { BatchRequestContent, BatchResponseContent, connect } from './client.mjs';
import { Node } from './node.mjs';

const session = '22553876-f5ab-4529-bffb-cfe50aa89f87';
let node, alice, bob, carol, app, ids;

before(async () => {
  node = await Node.start();
  const tokens = await Promise.all([
    node.token('--user', 'alice'), node.token('--user', 'bob'), node.token('--user', 'carol'), node.token('--app'),
  ]);
  [alice, bob, carol, app] = tokens.map((token) => connect(node.url, token));
  const people = await alice.api('/users').get();
  ids = Object.fromEntries(people.value.map((p) => [p.givenName.toLowerCase(), p.id]));
});

after(() => node?.stop());

const pair = (p) => `${p.availability}/${p.activity}`;

/** What a failing call is refused with. */
async function refusal(promise) {
  try {
    await promise;
  } catch (err) {
    return err;
  }
  assert.fail('was not refused');
}

test('the signed-in user and the directory', async () => {
  const me = await alice.api('/me').get();
  assert.equal(me.userPrincipalName, 'alice@home.example');
  assert.equal((await alice.api(`/users/${ids.bob}`).get()).displayName, 'Bob Baker');
  const err = await refusal(alice.api('/me/photo/$value').get());
  assert.equal(err.statusCode, 404);
});

test('a session is set, seen by others, and cleared', async () => {
  const own = alice.api('/me/presence');
  assert.equal(pair(await own.get()), 'Offline/Offline');
  await alice.api('/me/presence/setPresence').post({
    sessionId: session, availability: 'Busy', activity: 'InACall', expirationDuration: 'PT1H',
  });
  const seen = await bob.api(`/users/${ids.alice}/presence`).get();
  assert.equal(pair(seen), 'Busy/InACall');
  assert.equal(seen.id, ids.alice);
  const one = await bob.api(`/communications/presences/${ids.alice}`).version('beta').get();
  assert.equal(pair(one), 'Busy/InACall');
  assert.match(one.sequenceNumber, /^A\d+$/);
  await alice.api('/me/presence/clearPresence').post({ sessionId: session });
  assert.equal(pair(await own.get()), 'Offline/Offline');
});

test('an application sets the presence of a user, who then prefers another', async () => {
  await app.api(`/users/${ids.bob}/presence/setPresence`).post({
    sessionId: session, availability: 'Available', activity: 'Available',
  });
  await bob.api('/me/presence/setUserPreferredPresence').post({
    availability: 'DoNotDisturb', activity: 'DoNotDisturb', expirationDuration: 'PT8H',
  });
  assert.equal(pair(await alice.api(`/users/${ids.bob}/presence`).get()), 'DoNotDisturb/DoNotDisturb');
  await bob.api('/me/presence/clearUserPreferredPresence').post({});
  assert.equal(pair(await alice.api(`/users/${ids.bob}/presence`).get()), 'Available/Available');
});

test('several users at once, in the order asked', async () => {
  const asked = [ids.carol, ids.bob, 'nobody@home.example', ids.bob.toUpperCase()];
  const { value } = await alice.api('/communications/getPresencesByUserId').post({ ids: asked });
  assert.deepEqual(value.map((p) => p.id), asked);
  assert.deepEqual(value.map(pair), [
    'Offline/Offline', 'Available/Available', 'PresenceUnknown/PresenceUnknown', 'Available/Available',
  ]);
  const tooMany = Array.from({ length: 651 }, (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`);
  const err = await refusal(alice.api('/communications/getPresencesByUserId').post({ ids: tooMany }));
  assert.equal(err.statusCode, 400);
  assert.equal(err.code, 'BadRequest');
});

test('a status message shows its times to the owner alone', async () => {
  const ends = new Date(Date.now() + 3_600_000).toISOString().slice(0, 19);
  await carol.api('/me/presence/setStatusMessage').post({
    statusMessage: {
      message: { content: 'In the workshop', contentType: 'text' },
      expiryDateTime: { dateTime: ends, timeZone: 'UTC' },
    },
  });
  const own = (await carol.api('/me/presence').get()).statusMessage;
  assert.equal(own.message.content, 'In the workshop');
  assert.deepEqual(own.expiryDateTime, { dateTime: `${ends}.0000000`, timeZone: 'UTC' });
  assert.ok(!Number.isNaN(Date.parse(own.publishedDateTime)));
  const seen = (await alice.api(`/users/${ids.carol}/presence`).get()).statusMessage;
  assert.deepEqual(seen, { message: { content: 'In the workshop', contentType: 'text' } });
});

test('the work location', async () => {
  await carol.api('/me/presence/setManualLocation').post({ workLocationType: 'office', placeId: 'hq-3' });
  const { workLocation } = await carol.api('/me/presence').get();
  assert.deepEqual(workLocation, { workLocationType: 'office', source: 'manual', placeId: 'hq-3' });
  await carol.api('/me/presence/clearLocation').post({});
  assert.equal((await carol.api('/me/presence').get()).workLocation.source, 'none');
});

test('refusals arrive as the client\'s own errors', async () => {
  const unknown = await refusal(alice.api('/me/presence/clearPresence').post({ sessionId: 'none' }));
  assert.equal(unknown.statusCode, 404);
  assert.equal(unknown.code, 'NotFound');
  assert.ok(unknown.requestId);
  const other = await refusal(alice.api(`/users/${ids.bob}/presence/setPresence`).post({
    sessionId: session, availability: 'Away', activity: 'Away',
  }));
  assert.equal(other.statusCode, 401);
  assert.equal(other.code, 'Unauthorized');
  const illegal = await refusal(alice.api('/me/presence/setPresence').post({
    sessionId: session, availability: 'Busy', activity: 'InAMeeting',
  }));
  assert.equal(illegal.statusCode, 400);
  assert.match(illegal.message, /activity/);
  const me = await refusal(app.api('/me/presence').get());
  assert.equal(me.statusCode, 400);
  const stranger = await refusal(connect(node.url, 'no.token.atall').api('/me/presence').get());
  assert.equal(stranger.statusCode, 401);
  assert.equal(stranger.code, 'InvalidAuthenticationToken');
});

test('a batch, one request behind the other', async () => {
  // The client keeps the path of these addresses, which are relative to the version in a batch.
  const request = (url, method, body) => new Request(`${node.url}${url}`, {
    method, ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  });
  const content = new BatchRequestContent([
    { id: 'write', request: request('/me/presence/setPresence', 'POST', { sessionId: 'batch', availability: 'Away', activity: 'Away' }) },
    { id: 'read', request: request('/me/presence', 'GET'), dependsOn: ['write'] },
    { id: 'fail', request: request('/me/presence/clearPresence', 'POST', { sessionId: 'none' }), dependsOn: ['read'] },
    { id: 'skip', request: request('/me/presence', 'GET'), dependsOn: ['fail'] },
  ]);
  const answers = new BatchResponseContent(await alice.api('/$batch').post(await content.getContent()));
  const status = (id) => answers.getResponseById(id).status;
  assert.deepEqual(['write', 'read', 'fail', 'skip'].map(status), [200, 200, 404, 424]);
  assert.equal(pair(await answers.getResponseById('read').json()), 'Away/Away');
});

test('the client waits as a 429 says, and succeeds', async () => {
  const begin = alice.sent.length;
  for (let i = 0; i < 7; i++) {
    await alice.api('/me/presence/setPresence').post({
      sessionId: session, availability: 'Available', activity: 'Available', expirationDuration: `PT${10 + i}M`,
    });
  }
  const sent = alice.sent.slice(begin);
  const throttled = sent.filter((one) => one.status === 429);
  assert.ok(throttled.length > 0, 'seven writes at once were not throttled');
  assert.ok(throttled.every((one) => Number(one.retryAfter) >= 1));
  assert.ok(sent.some((one) => one.attempt === '1' && one.status === 200), 'no repeated request succeeded');
  assert.equal(sent.filter((one) => one.status === 200).length, 7);
});
