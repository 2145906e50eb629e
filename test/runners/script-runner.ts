/**
 * A plugin runner as a process, for tests of what starts and watches it: answers every request with what it knows of itself.
 * Arguments: `ignore-term`, `exit-at-once`, `never-listen`, `child` (starts a process that outlives it if nobody ends it), `print`,
 * `listen-when FILE` (once the file is there).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { FrameReader } from '../../src/runners/wire/frame-reader.ts';
import { RpcType } from '../../src/runners/wire/schema.ts';
import { decodeRequestCall } from '../../runners/node/messages.ts';
import { confToken, stop } from './runner-messages.ts';

const modes = new Set(process.argv.slice(2));
const address = process.env['APISIX_LISTEN_ADDRESS'] ?? '';

if (modes.has('print')) {
  process.stdout.write('a line on stdout\nand ');
  process.stdout.write('another\n');
  process.stderr.write('a line on stderr\n');
}
if (modes.has('exit-at-once')) process.exit(3);
if (modes.has('ignore-term')) process.on('SIGTERM', () => undefined);
const child = modes.has('child') ? spawn('sleep', ['600']) : undefined;

let tokens = 0;
const server = createServer((socket) => {
  const reader = new FrameReader();
  socket.on('error', () => undefined);
  socket.on('data', (piece: Buffer) => {
    reader.push(piece);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      if (frame.type === RpcType.prepareConf) socket.write(confToken(++tokens));
      else {
        const known = { pid: process.pid, child: child?.pid, environment: process.env, directory: process.cwd() };
        socket.write(stop(decodeRequestCall(frame.payload).id, { body: Buffer.from(JSON.stringify(known)) }));
      }
    }
  });
});
const awaited = modes.has('listen-when') ? process.argv.at(-1) : undefined;
while (awaited !== undefined && !existsSync(awaited)) await new Promise((resolve) => setTimeout(resolve, 10));
if (modes.has('never-listen')) setInterval(() => undefined, 60_000);
else server.listen(address.slice('unix:'.length));
