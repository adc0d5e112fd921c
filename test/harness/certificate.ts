/**
 * Certificates for tests, made as they are needed: no tool that may be missing, no key in the
 * repository, nothing that ends one day. DER by hand, X.509 v3 (RFC 5280), ECDSA with P-256.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface Authority {
  /** To be trusted. */
  readonly cert: string;
  /** For this name, valid now unless it shall have ended. */
  issue(name: string, options?: { hasEnded?: boolean }): Certificate;
}

const DAY_MS = 86_400_000;
const OID = {
  commonName: [0x55, 0x04, 0x03],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  basicConstraints: [0x55, 0x1d, 0x13],
  subjectAltName: [0x55, 0x1d, 0x11],
};

export function createAuthority(): Authority {
  const name = `QARR test authority ${randomBytes(4).toString('hex')}`;
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const isAuthority = extension(OID.basicConstraints, sequence(tlv(0x01, Buffer.from([0xff]))));
  const certify = (subject: string, key: KeyObject, extensions: Buffer, hasEnded = false) =>
    certificate({ issuer: name, issuerKey: pair.privateKey, subject, key, extensions, hasEnded });
  return {
    cert: certify(name, pair.publicKey, isAuthority),
    issue(subject, { hasEnded = false } = {}) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const names = extension(OID.subjectAltName, sequence(tlv(0x82, Buffer.from(subject))));
      return {
        key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        cert: certify(subject, own.publicKey, names, hasEnded),
      };
    },
  };
}

function certificate({
  issuer,
  issuerKey,
  subject,
  key,
  extensions,
  hasEnded,
}: {
  issuer: string;
  issuerKey: KeyObject;
  subject: string;
  key: KeyObject;
  extensions: Buffer;
  hasEnded: boolean;
}): string {
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const nowMs = Date.now();
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer),
    sequence(utcTime(nowMs - 2 * DAY_MS), utcTime(nowMs + (hasEnded ? -DAY_MS : DAY_MS))),
    distinguishedName(subject),
    key.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(extensions)),
  );
  const signature = sign('sha256', toBeSigned, issuerKey);
  const der = sequence(
    toBeSigned,
    algorithm,
    tlv(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function distinguishedName(commonName: string): Buffer {
  const attribute = sequence(oid(OID.commonName), tlv(0x0c, Buffer.from(commonName)));
  return sequence(tlv(0x31, attribute));
}

function extension(id: number[], value: Buffer): Buffer {
  return sequence(oid(id), tlv(0x04, value));
}

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return tlv(0x17, Buffer.from(digits.slice(2)));
}

function oid(bytes: number[]): Buffer {
  return tlv(0x06, Buffer.from(bytes));
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

/** Tag, length, value. */
function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), value]);
  const bytes = length < 0x1_00 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), value]);
}
