import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from './program.ts';

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'CONFIGURATION.md', 'ARCHITECTURE.md', 'OPERATIONS.md'];
const texts = DOCUMENTS.map((name) => ({ name, text: readFileSync(name, 'utf8') }));
const program = createProgram();
const scripts = Object.keys(JSON.parse(readFileSync('package.json', 'utf8')).scripts);

/** The words of every `sluice …` command in code: in fences as `node dist/cli.js …`, in backticks as `sluice …`. */
function commandsIn(text: string): string[][] {
  const inFences = [...text.matchAll(/^node dist\/cli\.js ([^#\n]*)/gm)].map(([, line]) => line ?? '');
  const inBackticks = [...text.matchAll(/`sluice ([a-z][^`]*)`/g)].map(([, line]) => line ?? '');
  return [...inFences, ...inBackticks].map((line) => line.trim().split(/\s+/));
}

function find(words: readonly string[]): { command: Command; rest: readonly string[] } {
  let command: Command = program;
  for (const [index, word] of words.entries()) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) return { command, rest: words.slice(index) };
    command = next;
  }
  return { command, rest: [] };
}

test.each(texts)('every command in $name exists, with its options', ({ text }) => {
  for (const words of commandsIn(text)) {
    const { command, rest } = find(words);
    expect(command, words.join(' ')).not.toBe(program);
    const known = command.options.map(({ long }) => long);
    for (const word of rest.filter((part) => part.startsWith('--')))
      expect(known, words.join(' ')).toContain(word);
  }
});

test.each(texts)('every npm script in $name exists', ({ text }) => {
  for (const [, name] of text.matchAll(/npm run ([a-z:]+)/g)) expect(scripts).toContain(name);
});

test.each(texts)('every file that $name names exists', ({ text }) => {
  for (const [, path] of text.matchAll(/\]\(([A-Za-z][^):#]*)\)/g))
    expect(existsSync(path ?? ''), path).toBe(true);
  for (const [, path] of text.matchAll(/`((?:[a-z-]+\/)+[A-Za-z.-]*\.(?:ts|md|yaml))`/g))
    expect(existsSync(path ?? ''), path).toBe(true);
});

test('the README lists every command', () => {
  const text = texts[0]?.text ?? '';
  for (const { name, path } of leaves(program, []))
    expect(text, name).toContain(`\`sluice ${path.join(' ')}\``);
});

function leaves(command: Command, path: readonly string[]): { name: string; path: readonly string[] }[] {
  const children = command.commands.filter((child) => child.name() !== 'help');
  if (children.length === 0) return [{ name: command.name(), path }];
  return children.flatMap((child) => leaves(child, [...path, child.name()]));
}

test.each(program.commands.map((command) => ({ name: command.name(), command })))(
  '`sluice $name --help` describes it and every option',
  ({ command }) => {
    expect(command.description()).not.toBe('');
    for (const option of command.options) expect(option.description, option.long ?? '').not.toBe('');
  },
);
