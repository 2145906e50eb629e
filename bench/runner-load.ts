/**
 * Calls of a plugin runner over its socket, as a gateway makes them: a call at a time on each connection. A program of its own, so that
 * it has the load's core. Prints one JSON object.
 *
 *   node bench/runner-load.ts SOCKET SECONDS CALLS_PER_SECOND     0: as many as there can be
 *
 * At a given rate calls begin when they are due, whether others are answered or not. A latency counts from when this program sees that
 * the call is due: how late it sees it is its own (`lagP99Ms`: it collects garbage, or its core is taken), and told apart.
 */
import { connect, type Socket } from 'node:net';
import { FrameReader, type Frame } from '../src/runners/wire/frame-reader.ts';
import {
  decodeHttpReqCall,
  decodePrepareConf,
  encodeHttpReqCall,
  encodePrepareConf,
} from '../src/runners/wire/messages.ts';
import { FrameWriter } from '../src/runners/wire/writer.ts';

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
let answered = 0;
let over = false;

/** Milliseconds; memory that is there from the start, so that recording them costs the load no garbage. */
class Durations {
  readonly #values = new Float64Array(16 << 20);
  count = 0;

  add(milliseconds: number): void {
    this.#values[this.count++] = milliseconds;
  }
  percentile(share: number): number {
    const sorted = this.#values.subarray(0, this.count).sort();
    return sorted[Math.max(0, Math.ceil(share * this.count) - 1)] ?? Number.NaN;
  }
}
const latencies = new Durations();
/** How late this program itself was: a call was due, and it did not run. */
const lags = new Durations();

/** One connection; every read goes into the same piece of memory. */
class Caller {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  #answer: ((frame: Frame) => void) | undefined;

  constructor() {
    const onread = { buffer: Buffer.allocUnsafe(65_536), callback: this.#onRead };
    this.#socket = connect({ path, onread });
    this.#socket.on('close', () => {
      if (!over) throw new Error('the runner closed a connection');
    });
  }

  readonly #onRead = (length: number, buffer: Uint8Array): boolean => {
    const piece = Buffer.from(buffer.buffer, buffer.byteOffset, length);
    if (this.#reader.pending === 0 && length >= 4 && length === 4 + piece.readUIntBE(1, 3))
      this.#onFrame({ type: piece[0] ?? 0, payload: piece.subarray(4) });
    else {
      this.#reader.push(Buffer.from(piece));
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#onFrame(frame);
    }
    return true;
  };

  #onFrame(frame: Frame): void {
    if (frame.type === 0) throw new Error('the runner answered with an error');
    this.#answer?.(frame);
  }

  send(frame: Buffer, answer: (frame: Frame) => void): void {
    this.#answer = answer;
    this.#socket.write(frame);
  }
}

const callers = Array.from({ length: CONNECTIONS }, () => new Caller());
const token = await new Promise<number>((resolve) => {
  callers[0]?.send(encodePrepareConf(writer, [['header', '{}']], 'bench'), ({ payload }) =>
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
  caller.send(call, ({ payload }) => {
    // The first answer is read: that it does what it is measured for.
    if (answered++ === 0 && decodeHttpReqCall(payload).action !== 'rewrite') throw new Error('the plugin did nothing');
    const now = performance.now();
    if (at >= from) latencies.add(now - at);
    if (over) return;
    if (rate === 0) begin(caller, now);
    else {
      const next = due.shift();
      if (next === undefined) free.push(caller);
      else begin(caller, next);
    }
  });
}

if (rate === 0) for (const caller of callers) begin(caller, performance.now());
let next = performance.now();
for (let now = next; now < end; now = performance.now()) {
  for (; rate > 0 && next <= now; next += 1000 / rate) {
    if (next >= from) lags.add(now - next);
    const caller = free.pop();
    if (caller === undefined) due.push(now);
    else begin(caller, now);
  }
  // The core is the load's: it does not sleep, a timer would hold calls back for a millisecond or more.
  await new Promise((resolve) => (rate > 0 ? setImmediate(resolve) : setTimeout(resolve, 10)));
}
over = true;
process.stdout.write(
  `${JSON.stringify({
    calls: answered,
    callsPerSecond: latencies.count / Number(seconds),
    p50Ms: latencies.percentile(0.5),
    p99Ms: latencies.percentile(0.99),
    lagP99Ms: rate === 0 ? 0 : lags.percentile(0.99),
  })}\n`,
);
process.exit(0);
