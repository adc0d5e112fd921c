/** A DNS server for tests (RFC 1035): answers questions for addresses, and counts them. */
import { createSocket } from 'node:dgram';

const TYPE_A = 1;
const NAME_NOT_FOUND = 3;

export interface DnsServer {
  /** As `QARR_WEBHOOK_DNS_SERVERS` takes it. */
  readonly address: string;
  readonly questions: number;
  stop(): Promise<void>;
}

/** `find` gets the name and how often it was asked for before; null: there is no such name. */
export async function startDnsServer(
  find: (name: string, asked: number) => string[] | null,
): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const asked = new Map<string, number>();
  let questions = 0;
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = questionOf(query);
    if (type === TYPE_A) questions += 1;
    const before = asked.get(name) ?? 0;
    if (type === TYPE_A) asked.set(name, before + 1);
    const found = find(name, before);
    const addresses = type === TYPE_A ? (found ?? []) : [];
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x81_80 | (found === null ? NAME_NOT_FOUND : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(addresses.length, 6);
    const answers = addresses.map((it) =>
      Buffer.from([0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4, ...it.split('.').map(Number)]),
    );
    socket.send(Buffer.concat([header, query.subarray(12, end), ...answers]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  return {
    address: `127.0.0.1:${port}`,
    get questions() {
      return questions;
    },
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}
