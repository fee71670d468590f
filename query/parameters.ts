import { ParameterError } from './errors.ts';

/** One parameter of a request: how it is read, and how it is described. */
export interface Parameter<T> {
  readonly name: string;
  readonly description: string;
  /** What a value has to be, for messages. */
  readonly expected: string;
  /** Whether it may be given more than once, or as a list separated by commas. */
  readonly repeatable: boolean;
  /** JSON schema of one value. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Undefined when the value is malformed. */
  parse(text: string): T | undefined;
}

/** The query string of a request, as the server splits it. */
export type RawParameters = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Reads the parameters of one request. Throws `ParameterError` for an unknown name and for malformed values. */
export class ParameterReader {
  readonly #raw: RawParameters;

  constructor(raw: RawParameters, known: readonly Parameter<unknown>[]) {
    const names = known.map(({ name }) => name);
    for (const name of Object.keys(raw)) {
      if (names.includes(name)) continue;
      const takes = names.length > 0 ? `one of the parameters ${names.join(', ')}` : 'no parameters';
      throw new ParameterError(name, this.#values(raw[name]).join(','), takes);
    }
    this.#raw = raw;
  }

  /** As it was given, unread; undefined when it is not given. */
  text(parameter: Parameter<unknown>): string | undefined {
    const values = this.#values(this.#raw[parameter.name]);
    return values.length > 0 ? values.join(',') : undefined;
  }

  /** Undefined when the parameter is not given. */
  one<T>(parameter: Parameter<T>): T | undefined {
    const values = this.#values(this.#raw[parameter.name]);
    const [text] = values;
    if (text === undefined) return undefined;
    if (values.length > 1) {
      throw new ParameterError(parameter.name, values.join(','), `a single value: ${parameter.expected}`);
    }
    return this.#parse(parameter, text);
  }

  /** Every value in order, each once. Undefined when the parameter is not given. */
  list<T>(parameter: Parameter<T>): T[] | undefined {
    const values = this.#values(this.#raw[parameter.name]);
    if (values.length === 0) return undefined;
    const texts = new Set(values.flatMap((value) => value.split(',')));
    return [...texts].map((text) => this.#parse(parameter, text));
  }

  #parse<T>(parameter: Parameter<T>, text: string): T {
    const value = parameter.parse(text);
    if (value === undefined) throw new ParameterError(parameter.name, text, parameter.expected);
    return value;
  }

  #values(value: string | readonly string[] | undefined): readonly string[] {
    if (value === undefined) return [];
    return typeof value === 'string' ? [value] : value;
  }
}

/** JSON schema of a query string that takes these parameters, for the API's description. */
export function describeParameters(
  parameters: readonly Parameter<unknown>[],
  required: readonly Parameter<unknown>[] = [],
): Record<string, unknown> {
  const properties = parameters.map(({ name, description, schema, repeatable }) => [
    name,
    repeatable ? { type: 'array', items: schema, description } : { ...schema, description },
  ]);
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    required: required.map(({ name }) => name),
    additionalProperties: false,
  };
}
