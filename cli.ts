#!/usr/bin/env node
import { createProgram } from './program.ts';

try {
  await createProgram().parseAsync();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? ` [${String(error.code)}]` : '';
  process.stderr.write(`sluice: ${message}${code}\n`);
  process.exit(1);
}
