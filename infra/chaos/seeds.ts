import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { ENGINES } from './fault.ts';

const seedsSchema = z
  .array(
    z.strictObject({
      engine: z.enum(ENGINES),
      seed: z.int(),
      seconds: z.number().positive(),
      rate: z.number().positive().default(2_000),
      devices: z.int().positive().default(200),
      /** What the run found when it was kept. */
      found: z.string().min(1),
    }),
  )
  // A run of no seeds would pass.
  .min(1);

/** A run that once failed. */
export type KeptSeed = z.infer<typeof seedsSchema>[number];

/** Reads a file of kept seeds. Throws an `Error` that names what is wrong with it. */
export function readSeeds(file: string): KeptSeed[] {
  const parsed = seedsSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
