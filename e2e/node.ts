// The program under test: bin/node on a free port with a data directory of its own.
import { ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const START_TIME = 30_000;

export class Node {
  private child?: ChildProcess;
  private output = '';

  private constructor(readonly url: string, private readonly args: string[], private readonly data: string) {}

  static async start(): Promise<Node> {
    const [port, admin] = await freePorts(2);
    const data = await mkdtemp(path.join(tmpdir(), 'rollcall-e2e-'));
    const args = ['--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${admin}`, '--data', data];
    const node = new Node(`http://127.0.0.1:${port}`, args, data);
    await node.run();
    return node;
  }

  /** Starts the program on its address and data and waits until it is ready. */
  async run(): Promise<void> {
    const program = process.env.ROLLCALL_NODE;
    if (!program) throw new Error('ROLLCALL_NODE names no program: run make e2e');
    const child = spawn(program, this.args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    child.stdout!.on('data', (text) => (this.output += text));
    child.stderr!.on('data', (text) => (this.output += text));
    const failed = once(child, 'exit').then(() => Promise.reject(new Error(`the node ended:\n${this.output}`)));
    await Promise.race([this.ready(), failed]);
    failed.catch(() => {}); // an end later on is asked for by kill and stop
  }

  private async ready(): Promise<void> {
    for (const end = Date.now() + START_TIME; Date.now() < end; ) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`the node is not ready after ${START_TIME} ms:\n${this.output}`);
  }

  /** SIGKILL: nothing is written, nobody is told. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
    await rm(this.data, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const stuck = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(stuck);
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
