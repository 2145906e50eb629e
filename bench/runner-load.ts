/**
 * Calls of a plugin runner over its socket, as a gateway makes them: a call at a time on each connection. A program of its own, so that
 * it has the load's core. Prints one JSON object.
 *
 *   node bench/runner-load.ts SOCKET SECONDS CALLS_PER_SECOND     0: as many as there can be
 *
 * At a given rate calls begin when they are due, whether others are answered or not; a latency counts from then on.
 */
import { connect, type Socket } from 'node:net';
import { FrameReader } from '../src/runners/wire/frame-reader.ts';
import {
  decodeHttpReqCall,
  decodePrepareConf,
  encodeHttpReqCall,
  encodePrepareConf,
} from '../src/runners/wire/messages.ts';
import { FrameWriter } from '../src/runners/wire/writer.ts';
import { percentile } from './figures.ts';

const CONNECTIONS = 32;
/** What a browser's request has, more or less. */
const HEADERS = (
  'host: service.example|user-agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101|accept: text/html,application/json|' +
  'accept-language: en,de;q=0.5|accept-encoding: gzip, deflate, br|cookie: session=0123456789abcdef|x-request-id: 1234|' +
  'authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IV7pAx_Zmeo'
)
  .split('|')
  .map((field) => field.split(': ') as [string, string]);

const [path = '', seconds = '1', perSecond = '0'] = process.argv.slice(2);
const rate = Number(perSecond);
const writer = new FrameWriter();
const latencies: number[] = [];
let answered = 0;
let over = false;

/** One connection; `call` resolves to nothing, `onFree` says when the next may begin. */
class Caller {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  #answer: ((payload: Buffer) => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (piece: Buffer) => {
      this.#reader.push(piece);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
        if (frame.type === 0) throw new Error('the runner answered with an error');
        this.#answer?.(frame.payload);
      }
    });
    socket.on('close', () => {
      if (!over) throw new Error('the runner closed a connection');
    });
  }

  send(frame: Buffer, answer: (payload: Buffer) => void): void {
    this.#answer = answer;
    this.#socket.write(frame);
  }
}

const callers = Array.from({ length: CONNECTIONS }, () => new Caller(connect(path)));
const token = await new Promise<number>((resolve) => {
  callers[0]?.send(encodePrepareConf(writer, [['header', '{}']], 'bench'), (payload) =>
    resolve(decodePrepareConf(payload)),
  );
});
const call = Buffer.from(
  encodeHttpReqCall(writer, {
    id: 1,
    confToken: token,
    sourceAddress: Buffer.from([127, 0, 0, 1]),
    method: 0,
    path: '/service/orders',
    args: [
      ['page', '2'],
      ['sort', 'name'],
    ],
    headers: HEADERS,
  }),
);

/** Not counted: what the JIT does to this program at its start. */
const WARM_UP_MS = 500;
const from = performance.now() + WARM_UP_MS;
const end = from + Number(seconds) * 1000;
const free = [...callers];
const due: number[] = [];

function begin(caller: Caller, at: number): void {
  caller.send(call, (payload) => {
    // The first answer is read: that it does what it is measured for.
    if (answered++ === 0 && decodeHttpReqCall(payload).action !== 'rewrite') throw new Error('the plugin did nothing');
    if (at >= from) latencies.push(performance.now() - at);
    if (over) return;
    if (rate === 0) begin(caller, performance.now());
    else {
      const next = due.shift();
      if (next === undefined) free.push(caller);
      else begin(caller, next);
    }
  });
}

if (rate === 0) for (const caller of callers) begin(caller, performance.now());
let next = performance.now();
while (performance.now() < end) {
  for (; rate > 0 && next <= performance.now(); next += 1000 / rate) {
    const caller = free.pop();
    if (caller === undefined) due.push(next);
    else begin(caller, next);
  }
  await new Promise((resolve) => setTimeout(resolve, 1));
}
over = true;
process.stdout.write(
  `${JSON.stringify({
    calls: answered,
    callsPerSecond: latencies.length / Number(seconds),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  })}\n`,
);
process.exit(0);
