import { crc32 } from 'node:zlib';
import { readDevices, writeDevices } from './checkpoint-devices.ts';
import { readLevels, writeLevels } from './checkpoint-levels.ts';
import { namesOf, readNames, writeNames } from './checkpoint-names.ts';
import { CheckpointReader } from './checkpoint-reader.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { CheckpointDamagedError, CheckpointVersionError, FoldConfigChangedError } from './errors.ts';
import { type FoldBudgets, type FoldConfig, foldFingerprint } from './fold-config.ts';
import type { FoldState } from './fold-state.ts';

/** FORMAT.md draws a checkpoint byte by byte. */
const MAGIC = Buffer.from('SLCP', 'latin1');
const VERSION = 2;
const VERSION_AT = 4;
const LENGTH_AT = 8;
const CRC_AT = 12;
const BODY_AT = 16;

/**
 * Encodes a state between two records. Equal states have equal encodings: no Map's order matters but that of the
 * metrics of a pane, in which its rows are emitted. `isFinal`: the process folds nothing beyond it. Throws `RangeError` for a state that folding with this configuration cannot give.
 */
export function encodeCheckpoint(state: FoldState, config: FoldConfig, isFinal = false): Buffer {
  const writer = new CheckpointWriter(BODY_AT);
  const names = namesOf(state);
  writer.text(foldFingerprint(config));
  writer.varint(config.maxOpenAggregates);
  writer.varint(config.maxDevices);
  writer.varint(isFinal ? 1 : 0);
  writer.offset(state.nextOffset);
  writer.time(state.logTime);
  writeNames(writer, names.devices);
  writeNames(writer, names.metrics);
  writeDevices(writer, state, names.devices);
  writeLevels(writer, state.levels, config.windowsMs, names);
  return seal(writer.bytes());
}

/**
 * Decodes what `encodeCheckpoint` returned, into a state that shares no memory with `bytes` and goes on exactly as the
 * encoded one would. Throws `CheckpointDamagedError`, `CheckpointVersionError`, or
 * `FoldConfigChangedError` when the configuration is not the one that the state was folded with.
 */
export function decodeCheckpoint(bytes: Buffer, config: FoldConfig): FoldState {
  verify(bytes);
  const reader = new CheckpointReader(bytes, BODY_AT);
  const [then, now] = [reader.text(), foldFingerprint(config)];
  if (then !== now) throw new FoldConfigChangedError(then, now);
  readTerms(reader);
  const nextOffset = reader.offset();
  const logTime = reader.time();
  const names = { devices: readNames(reader), metrics: readNames(reader) };
  const devices = readDevices(reader, logTime, names.devices);
  const levels = readLevels(reader, config.windowsMs, names);
  reader.end();
  return { logTime, nextOffset, devices, levels, alerts: new Map<string, never>() };
}

/** What a checkpoint says of the folding around it. */
export interface CheckpointTerms {
  /** Those that the state was folded with, which may be others than those configured. */
  readonly budgets: FoldBudgets;
  /** Whether its process folded nothing beyond it. */
  readonly isFinal: boolean;
}

/** Throws as `decodeCheckpoint`, but for a changed configuration. */
export function decodeTerms(bytes: Buffer): CheckpointTerms {
  verify(bytes);
  const reader = new CheckpointReader(bytes, BODY_AT);
  reader.text();
  return readTerms(reader);
}

function readTerms(reader: CheckpointReader): CheckpointTerms {
  const budgets = { maxOpenAggregates: reader.varint(), maxDevices: reader.varint() };
  return { budgets, isFinal: reader.upTo(1, 'as a flag') === 1 };
}

function seal(bytes: Buffer): Buffer {
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, VERSION_AT);
  bytes.writeUInt32LE(bytes.length, LENGTH_AT);
  bytes.writeUInt32LE(checksumOf(bytes), CRC_AT);
  return bytes;
}

/** The header is the same in every version, so that damage is told from a version to come. */
function verify(bytes: Buffer): void {
  if (bytes.length < BODY_AT) throw new CheckpointDamagedError(bytes.length, 'it ends within its header');
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new CheckpointDamagedError(0, 'it does not start as a checkpoint does');
  }
  const length = bytes.readUInt32LE(LENGTH_AT);
  if (length !== bytes.length) {
    throw new CheckpointDamagedError(LENGTH_AT, `${length} bytes were written, ${bytes.length} are there`);
  }
  const [stored, computed] = [bytes.readUInt32LE(CRC_AT), checksumOf(bytes)];
  if (stored !== computed) {
    throw new CheckpointDamagedError(CRC_AT, `checksum ${hex(computed)} where ${hex(stored)} was stored`);
  }
  const version = bytes.readUInt32LE(VERSION_AT);
  if (version !== VERSION) throw new CheckpointVersionError(version, VERSION);
}

/** Of everything but itself. */
function checksumOf(bytes: Buffer): number {
  return crc32(bytes.subarray(BODY_AT), crc32(bytes.subarray(0, CRC_AT)));
}

function hex(n: number): string {
  return n.toString(16).padStart(8, '0');
}
