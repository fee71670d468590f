import { Command } from 'commander';
import { stringify } from 'yaml';
import { settings, variableName } from './environment.ts';
import type { Config } from './schema.ts';

export interface ConfigCommandDependencies {
  load(): { readonly config: Config; readonly sources: readonly string[] };
  write(text: string): void;
}

/** `sluice config check | show | list`. */
export function createConfigCommand({ load, write }: ConfigCommandDependencies): Command {
  const command = new Command('config').description('look at the configuration');
  command
    .command('check')
    .description('validate the file and the SLUICE_… variables; exit code 1 when they cannot be used')
    .action(() => {
      const { sources } = load();
      write(`the configuration is valid (${sources.length === 0 ? 'defaults only' : sources.join(', ')})\n`);
    });
  command
    .command('show')
    .description('print the configuration in force, without secrets; durations in ms')
    .action(() => {
      const hideSecrets = (key: unknown, value: unknown) => (key === 'password' ? '(secret)' : value);
      write(stringify(load().config, hideSecrets));
    });
  command
    .command('list')
    .description('list every setting with its variable and default')
    .action(() => {
      for (const { path, defaultValue, onlyFor, description } of settings()) {
        const only = onlyFor === undefined ? '' : ` [${onlyFor}]`;
        write(
          `${path.join('.')}${only}  ${variableName(path)}  default: ${defaultValue ?? 'none'}\n    ${description}\n`,
        );
      }
    });
  return command;
}
