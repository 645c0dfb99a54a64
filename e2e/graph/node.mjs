// The program under test: the node named by ROLLCALL_NODE on a free port, with a data directory of its own.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const START_TIME = 30_000;
const program = process.env.ROLLCALL_NODE;

export class Node {
  #child;
  #output = '';

  constructor(url, data, child) {
    this.url = url;
    this.data = data;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#output += text));
  }

  static async start() {
    if (!program) throw new Error('ROLLCALL_NODE names no program: run make acceptance');
    const [port, admin] = await freePorts(2);
    const data = await mkdtemp(path.join(tmpdir(), 'rollcall-graph-'));
    const args = ['--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${admin}`, '--data', path.join(data, 'store')];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const node = new Node(`http://127.0.0.1:${port}`, data, child);
    const failed = once(child, 'exit').then(() => Promise.reject(new Error(`the node ended:\n${node.#output}`)));
    failed.catch(() => {}); // the end that stop asks for
    try {
      await Promise.race([node.#ready(), failed]);
    } catch (err) {
      await node.stop();
      throw err;
    }
    return node;
  }

  async #ready() {
    for (const end = Date.now() + START_TIME; Date.now() < end; ) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`the node is not ready after ${START_TIME} ms:\n${this.#output}`);
  }

  /** A token as `node token` prints it; flags are ['--user', 'alice'] or ['--app']. */
  async token(...flags) {
    const { stdout } = await promisify(execFile)(program, ['token', '--server', this.url, ...flags]);
    return stdout.trim();
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      const stuck = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(stuck);
    }
    await rm(this.data, { recursive: true, force: true });
  }
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
