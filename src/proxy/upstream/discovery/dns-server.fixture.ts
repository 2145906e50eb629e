/**
 * A DNS server on UDP, 127.0.0.1, that answers A and AAAA questions from a table (RFC 1035 §4). Bytes on a socket: the
 * resolver under test uses its real client. Knows no EDNS, no compression but the pointer to the question.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

export interface Zone {
  /** Name, lower case → its records; a name that is absent is answered NXDOMAIN. */
  readonly names: Map<
    string,
    { readonly a?: readonly string[]; readonly aaaa?: readonly string[]; readonly ttl: number }
  >;
  /** Answer everything SERVFAIL. */
  failing: boolean;
}

export interface DnsServer {
  /** `127.0.0.1:port`. */
  readonly address: string;
  readonly zone: Zone;
  /** What was asked, in order: `A name`, `AAAA name`. */
  readonly questions: string[];
  close(): Promise<void>;
}

const typeA = 1;
const typeAaaa = 28;
const noError = 0;
const servfail = 2;
const nxdomain = 3;

export async function startDnsServer(): Promise<DnsServer> {
  const zone: Zone = { names: new Map(), failing: false };
  const questions: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, peer) => {
    const { name, type, end } = readQuestion(query);
    questions.push(`${type === typeA ? 'A' : 'AAAA'} ${name}`);
    const found = zone.names.get(name);
    const records = (type === typeA ? found?.a : type === typeAaaa ? found?.aaaa : undefined) ?? [];
    const code = zone.failing ? servfail : found === undefined ? nxdomain : noError;
    const answers = code === noError ? records.map((address) => encodeRecord(address, type, found?.ttl ?? 0)) : [];
    socket.send(
      Buffer.concat([encodeHeader(query, code, answers.length), query.subarray(12, end), ...answers]),
      peer.port,
    );
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    zone,
    questions,
    async close() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** Response, recursion desired and available; one question. */
function encodeHeader(query: Buffer, code: number, answers: number): Buffer {
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers, 6);
  return header;
}

/** IPv6 addresses must be written with all eight groups. */
function encodeRecord(address: string, type: number, ttl: number): Buffer {
  const data =
    type === typeA
      ? Buffer.from(address.split('.').map(Number))
      : Buffer.from(address.split(':').flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]));
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
