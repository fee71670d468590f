/** Where an MQTT server is, and who a device says it is. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
}

const DEFAULT_PORT = 1_883;

/** Takes `mqtt://[user[:password]@]host[:port]` apart. Throws a `TypeError` for what is no URL. */
export function parseServerAddress(url: string): ServerAddress {
  const { hostname, port, username, password } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? DEFAULT_PORT : Number(port),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
  };
}
