/** Where a session client keeps the tokens in header transport; a `Map` is one. */
export interface TokenStorage {
  get(key: string): string | null | undefined | Promise<string | null | undefined>;
  set(key: string, value: string): unknown;
  delete(key: string): unknown;
}

export interface SessionClientOptions {
  /**
   * Where `rotating_sessions.urls` is mounted, with the slash at its end; "/auth/". Tokens
   * are sent to this origin and to no other one.
   */
  url?: string | URL;
  /** How tokens travel; "cookie". */
  transport?: "cookie" | "header";
  /** Milliseconds after which a refresh is given up: half of GRACE_PERIOD, less the skew. */
  timeout?: number;
  /** Returns the CSRF token, in cookie transport; else it is read from Django's cookie. */
  csrfToken?: () => string | undefined;
  /**
   * Where the tokens live in header transport: in the memory of this tab, unless one is
   * given, which all tabs of the origin have to share. Never `sessionStorage`.
   */
  storage?: TokenStorage | null;
}

/** Tells that the session has ended: why, in a `code` of the server's, or "logged_out". */
export type EndedEvent = CustomEvent<{ code: string }>;

/** A `fetch` that keeps a session alive, and tells of its end. */
export class SessionClient extends EventTarget {
  constructor(options?: SessionClientOptions);

  /**
   * Fetch. Where the server asks for a refresh, refresh and fetch once more.
   *
   * Where no refresh can be had, this resolves to what it was answered (401, 429, 5xx), or
   * rejects where it was not answered at all. The session goes on unless "ended" is told.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

  /** Refresh now; resolve to null, or to the answer that brought no token. */
  refresh(): Promise<Response | null>;

  /** Log in; resolve to the answer. Its body is left where it is not `ok`. */
  login(credentials: Record<string, string | boolean>): Promise<Response>;

  /** Log out, in every tab; resolve to the answer. */
  logout(): Promise<Response>;

  /** Hear, in every tab, that the session has ended. It may be told more than once. */
  addEventListener(
    type: "ended",
    listener: (event: EndedEvent) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener(
    type: "ended",
    listener: (event: EndedEvent) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
