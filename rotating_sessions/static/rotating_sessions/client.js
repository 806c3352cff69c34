/**
 * The browser's side of rotating_sessions: a `fetch` that keeps its session alive.
 *
 * A refresh token is given up only for the one that replaces it, so an answer that never
 * comes costs nothing but time. client.d.ts has the types, docs/client.md the examples.
 */

// Kept, so that a page may put a client's `fetch` in its place.
const { fetch } = globalThis;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
// The codes of a 401 by which the server says that there is no session.
const ENDINGS = new Set(["invalid_token", "not_authenticated", "session_ended"]);
const readCode = async (response) =>
  response.status === 401 ? (await response.clone().json().catch(() => null))?.code : null;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const readCsrfCookie = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];

export class SessionClient extends EventTarget {
  #url; #transport; #timeout; #csrfToken; // as the page wants them
  #storage; // of the tokens in header transport; in cookie transport no script has them
  #name; // of what the tabs of a session share: the lock, the channel, stored items
  #channel; // to the other tabs of the session
  #refreshes = 0; // that this tab has made or heard of; logins count, too
  #dueAt = Infinity; // when to refresh ahead of time, as far as this tab knows
  #flights = new Map(); // what shall be replaced -> the refresh that is under way

  constructor({
    url = "/auth/", transport = "cookie", timeout = 25_000,
    csrfToken = readCsrfCookie, storage = null,
  } = {}) {
    super();
    this.#url = new URL(url, location.href);
    this.#transport = transport;
    this.#timeout = timeout;
    this.#csrfToken = csrfToken;
    this.#storage = storage ?? new Map();
    // Tokens in the memory of this tab are a session that no other tab shares.
    const scope = transport === "cookie" || storage ? this.#url : Math.random();
    this.#name = `rotating_sessions ${scope}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  /** Fetch; where the access token will not do, refresh and fetch once more. */
  async fetch(input, init) {
    const request = new Request(input, init);
    // No other origin is ever sent a token.
    if (new URL(request.url).origin !== this.#url.origin) return fetch(request);
    // A caller who aborts waits no longer; a refresh goes on, for it is everybody's.
    const aborted = new Promise((_, reject) => {
      request.signal.addEventListener("abort", () => reject(request.signal.reason));
    });
    return Promise.race([this.#attempt(request), aborted]);
  }

  /** Refresh now; resolve to null, or to the answer that brought no token. */
  async refresh() {
    return this.#refreshOnce(await this.#held());
  }

  /** Log in; resolve to the answer, whose body says why where it is not `ok`. */
  login(credentials) {
    return this.#alone(async () => {
      const answer = await this.#post("login/", { ...credentials, transport: this.#transport });
      if (answer.ok) await this.#keep(answer);
      return answer;
    });
  }

  /** Log out, in every tab; resolve to the answer. */
  logout() {
    return this.#alone(async () => {
      const answer = await this.#post("logout/", { refresh: await this.#read("refresh") });
      if (answer.ok) await this.#end("logged_out");
      return answer;
    });
  }

  async #attempt(request, isRepeated = false) {
    // The access token may still serve, so whatever comes of this is no answer yet.
    if (Date.now() >= this.#dueAt) await this.refresh().catch(() => null);
    const held = await this.#held();
    const response = await this.#send(request, held);
    const code = await readCode(response);
    if (code !== "refresh_required" && !ENDINGS.has(code)) return response;
    // By a refresh or a login: what the request was refused for is no longer held.
    const isOvertaken = held !== (await this.#held());
    if (ENDINGS.has(code) && !isOvertaken) await this.#end(code);
    else if (!isRepeated) {
      const refusal = isOvertaken ? null : await this.#refreshOnce(held);
      return refusal ?? this.#attempt(request, true);
    }
    return response;
  }

  /** Send a copy of the request, with what proves the session. */
  async #send(request, held) {
    const copy = request.clone();
    const isBearer = this.#transport === "header";
    if (isBearer && held) copy.headers.set("Authorization", `Bearer ${held}`);
    if (isBearer || SAFE_METHODS.has(copy.method)) return fetch(copy);
    // Read each time, because a login in any tab changes it. GET login/ sets the cookie.
    if (!this.#csrfToken()) await fetch(new URL("login/", this.#url), { signal: copy.signal });
    copy.headers.set("X-CSRFToken", this.#csrfToken());
    // No redirect may carry the CSRF token to another origin.
    return fetch(copy, { mode: "same-origin" });
  }

  /** Post to an endpoint, and read the whole answer before the time is up. */
  async #post(path, body) {
    const request = new Request(new URL(path, this.#url), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: this.#transport === "cookie" ? "same-origin" : "omit",
      redirect: "error",
      signal: AbortSignal.timeout(this.#timeout),
    });
    const response = await this.#send(request);
    return new Response((await response.text()) || null, response);
  }

  /** What proves the session: an access token, or how often the cookies have changed. */
  async #held() {
    return this.#transport === "cookie" ? this.#refreshes : this.#read("access");
  }

  /** Replace what is held; whoever asks to replace the same shares the outcome. */
  async #refreshOnce(held) {
    if (!this.#flights.has(held)) {
      const flight = this.#alone(() => this.#refreshUnlessDone(held));
      this.#flights.set(held, flight.finally(() => this.#flights.delete(held)));
    }
    return (await this.#flights.get(held))?.clone() ?? null;
  }

  async #refreshUnlessDone(held) {
    // Another tab may have refreshed meanwhile, and its news be slower than the lock.
    await pause(50);
    if (held !== (await this.#held())) return null;
    this.#dueAt = Infinity;
    const refresh = await this.#read("refresh");
    const present = async () => {
      const answer = await this.#post("refresh/", { refresh });
      if (answer.ok) await this.#keep(answer);
      return answer;
    };
    let answer = await present().catch(() => null);
    const patience = retryAfter(answer, Math.min(1_000, this.#timeout));
    if (patience <= this.#timeout) {
      await pause(patience);
      answer = await present();
    }
    if (answer.status === 401) await this.#end(await readCode(answer));
    return answer.ok ? null : answer;
  }

  /** Keep what an answer brings; one without a refresh token leaves the old one alone. */
  async #keep(answer) {
    const { access, refresh, expires_in } = await answer.json();
    if (refresh) await this.#storage.set(`${this.#name} refresh`, refresh);
    if (access) await this.#storage.set(`${this.#name} access`, access);
    this.#tell({ lifetime: expires_in * 1000 });
  }

  async #end(code) {
    const forget = (item) => this.#storage.delete(`${this.#name} ${item}`);
    await Promise.all(["access", "refresh"].map(forget));
    this.#tell({ ended: code });
  }

  async #read(item) {
    return (await this.#storage.get(`${this.#name} ${item}`)) ?? undefined;
  }

  #tell(news) {
    this.#channel.postMessage(news);
    this.#hear(news);
  }

  #hear({ lifetime, ended }) {
    // Ahead of time is the last tenth of the access token's life, 30 seconds at most.
    this.#dueAt = ended ? Infinity : Date.now() + lifetime - Math.min(lifetime / 10, 30_000);
    if (ended) this.dispatchEvent(new CustomEvent("ended", { detail: { code: ended } }));
    else this.#refreshes += 1;
  }

  /** Run a task while no other tab of the session runs one; http has no locks for it. */
  #alone(task) {
    return navigator.locks ? navigator.locks.request(this.#name, task) : task();
  }
}

/** Milliseconds until the same token may be presented again; Infinity where it may not. */
function retryAfter(answer, usual) {
  if (answer && answer.status < 500 && ![425, 429].includes(answer.status)) return Infinity;
  return Number(answer?.headers.get("Retry-After")) * 1000 || usual;
}
