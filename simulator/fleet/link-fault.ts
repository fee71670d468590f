/** What can happen to a device's connection. Times are ms. */
export type LinkFault =
  /** The device leaves with DISCONNECT, and connects again after `awayMs`. */
  | { readonly kind: 'disconnect'; readonly awayMs: number }
  /** The connection is reset, and the device connects again after `awayMs`. */
  | { readonly kind: 'abrupt-close'; readonly awayMs: number }
  /**
   * The device is gone without a word, and connects again after `awayMs` while its old connection stays open,
   * unread, until `forMs` have passed or the server gives it up.
   */
  | { readonly kind: 'half-open'; readonly awayMs: number; readonly forMs: number }
  /** Another client connects under the device's client id, and stays for `forMs` or until the device has it back. */
  | { readonly kind: 'takeover'; readonly forMs: number }
  /** The device does not read what the server sends for `forMs`. */
  | { readonly kind: 'slow-reader'; readonly forMs: number };
